//! The whole system for one test: databases of its own, a Kafka of its own, and the three processes.
//!
//! ```no_run
//! # async fn test() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use lab::{stack::Stack, system::System};
//! use proto::store::orders::v1::order_service_client::OrderServiceClient;
//!
//! let system = System::start(Stack::shared().await?).await?;
//! let mut orders = OrderServiceClient::new(system.store_manager.channel());
//! system.payments.kill().await; // SIGKILL
//! system.kafka().stop().await?; // the broker is this system's own
//! system.kafka().start().await?; // same port, same data
//! system.payments.start().await?; // same port, ready when this returns
//! # Ok(()) }
//! ```
//! If the test panics, the ends of the logs are printed before they are removed.

use std::{fs, path::PathBuf, thread};

use thiserror::Error;
use uuid::Uuid;

use crate::{
    links::Links,
    processes::{self, BuildError, Program, Service, ServiceOptions},
    stack::{Kafka, Postgres, Stack, StackError},
};

/// How many lines of each log are shown when a test panics.
const SHOWN_LINES: usize = 40;

/// Why the system did not start.
#[derive(Debug, Error)]
pub enum SystemError {
    /// The programs could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Something did not start.
    #[error(transparent)]
    Stack(#[from] StackError),
}

/// What a test wants other than usual.
#[derive(Clone, Debug, Default)]
pub struct SystemOptions {
    /// A PostgreSQL server of its own, which the test may stop.
    pub own_postgres: bool,
    /// More environment for a program, such as a payment limit.
    pub environment: Vec<(Program, String, String)>,
    /// Programs that are not started at once.
    pub stopped: Vec<Program>,
    /// Whether everybody goes to everybody through [`Links`], which the test may disturb.
    pub linked: bool,
    /// Further settings of a PostgreSQL of its own.
    pub postgres_settings: Vec<String>,
}

/// A running system. Dropped, it is killed.
#[derive(Debug)]
pub struct System {
    /// Orders, stock, catalogue, users.
    pub store_manager: Service,
    /// Payments.
    pub payments: Service,
    /// Outbox to Kafka.
    pub relay: Service,
    store_manager_database: String,
    payments_database: String,
    links: Option<Links>,
    kafka: Kafka,
    postgres: Option<Postgres>,
}

impl System {
    /// Starts one: migrated and seeded, topics created, all three processes ready.
    ///
    /// # Errors
    /// If something cannot be built or started; says what, and shows the end of its log.
    pub async fn start(stack: &Stack) -> Result<Self, SystemError> {
        Self::start_with(stack, SystemOptions::default()).await
    }

    /// As [`start`](Self::start), with options.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(stack: &Stack, options: SystemOptions) -> Result<Self, SystemError> {
        let binaries = processes::build().await?.to_owned();
        let logs = stack.directory().join(format!("system-{}", Uuid::now_v7()));
        fs::create_dir(&logs).map_err(|source| StackError::Io {
            what: format!("create {}", logs.display()),
            source,
        })?;
        let plan = Plan { binaries, logs, options, links: None };
        let (plan, kafka, (postgres, store_manager, payments)) = if plan.options.linked {
            let kafka_ports = Links::kafka_ports()?;
            let (kafka, databases) =
                tokio::try_join!(stack.fresh_kafka_behind(&kafka_ports), plan.databases(stack))?;
            let server = databases.0.as_ref().unwrap_or(stack.postgres()).url("postgres");
            let links = Links::open(&server, &kafka_ports).await?;
            (Plan { links: Some(links), ..plan }, kafka, databases)
        } else {
            let (kafka, databases) = tokio::try_join!(stack.fresh_kafka(), plan.databases(stack))?;
            (plan, kafka, databases)
        };
        let stopped = plan.options.stopped.clone();
        let mut system = plan.build(kafka, postgres, store_manager, payments)?;
        if let Some(links) = &mut system.links {
            let addresses = [&system.store_manager, &system.payments].map(Service::grpc_address);
            links.open_callers(addresses).await?;
        }
        let (one, two, three) =
            (system.store_manager.options(), system.payments.options(), system.relay.options());
        tokio::try_join!(one.step("topics"), two.step("topics"), three.step("topics"))?;
        let start = async |service: &Service, program| {
            if stopped.contains(&program) { Ok(()) } else { service.start().await }
        };
        tokio::try_join!(
            start(&system.store_manager, Program::StoreManager),
            start(&system.payments, Program::Payments),
            start(&system.relay, Program::OutboxRelay),
        )?;
        Ok(system)
    }

    /// The URL of store-manager's database.
    #[must_use]
    pub fn store_manager_database(&self) -> &str {
        &self.store_manager_database
    }

    /// The URL of payments' database.
    #[must_use]
    pub fn payments_database(&self) -> &str {
        &self.payments_database
    }

    /// This system's own Kafka.
    #[must_use]
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// The ways between everybody, if they were asked for.
    #[must_use]
    pub fn links(&self) -> Option<&Links> {
        self.links.as_ref()
    }

    /// Its programs, in the order in which they are started.
    #[must_use]
    pub fn service(&self, program: Program) -> &Service {
        match program {
            Program::StoreManager => &self.store_manager,
            Program::Payments => &self.payments,
            Program::OutboxRelay => &self.relay,
        }
    }

    /// This system's own PostgreSQL, if it was asked for.
    #[must_use]
    pub fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if thread::panicking() {
            for service in [&self.store_manager, &self.payments, &self.relay] {
                show(service);
            }
        }
    }
}

/// What is needed before there are services.
struct Plan {
    binaries: PathBuf,
    logs: PathBuf,
    options: SystemOptions,
    links: Option<Links>,
}

impl Plan {
    /// The two databases: copies of templates in the shared server, or migrated in a server of their own.
    async fn databases(
        &self,
        stack: &Stack,
    ) -> Result<(Option<Postgres>, String, String), StackError> {
        if self.options.own_postgres {
            let settings: Vec<_> =
                self.options.postgres_settings.iter().map(String::as_str).collect();
            let postgres = stack.fresh_postgres_with(&settings).await?;
            let (one, two) = tokio::try_join!(
                self.migrated(&postgres, Program::StoreManager, "store_manager"),
                self.migrated(&postgres, Program::Payments, "payments"),
            )?;
            return Ok((Some(postgres), one, two));
        }
        let copy = async |program: Program, name: &str| {
            stack
                .template(name, async |url| self.service(program, &url).step("migrate").await)
                .await?;
            stack.database_from_template(name).await
        };
        let store_manager = copy(Program::StoreManager, "store_manager").await?;
        let payments = copy(Program::Payments, "payments").await?;
        Ok((None, store_manager, payments))
    }

    async fn migrated(
        &self,
        postgres: &Postgres,
        program: Program,
        name: &str,
    ) -> Result<String, StackError> {
        let url = postgres.create_database(name).await?;
        self.service(program, &url).step("migrate").await?;
        Ok(url)
    }

    fn build(
        self,
        kafka: Kafka,
        postgres: Option<Postgres>,
        store_manager_database: String,
        payments_database: String,
    ) -> Result<System, StackError> {
        let url = |program, database: &str| match &self.links {
            Some(links) => links.postgres_url(program, database),
            None => database.to_owned(),
        };
        let service = |program, database: &str| {
            let mut options = self.service(program, database);
            let brokers = match &self.links {
                Some(links) => links.brokers(program),
                None => kafka.brokers().to_owned(),
            };
            options.environment.push(("KAFKA_BROKERS".to_owned(), brokers));
            let more = self.options.environment.iter().filter(|(of, ..)| *of == program);
            options.environment.extend(more.map(|(_, key, value)| (key.clone(), value.clone())));
            Service::new(options)
        };
        let sources = format!(
            "store_manager={},payments={}",
            url(Program::OutboxRelay, &store_manager_database),
            url(Program::OutboxRelay, &payments_database)
        );
        let store_manager_url = url(Program::StoreManager, &store_manager_database);
        let payments_url = url(Program::Payments, &payments_database);
        Ok(System {
            store_manager: service(Program::StoreManager, &store_manager_url)?,
            payments: service(Program::Payments, &payments_url)?,
            relay: service(Program::OutboxRelay, &sources)?,
            store_manager_database,
            payments_database,
            links: self.links,
            kafka,
            postgres,
        })
    }

    /// `database` is what the program's data comes from: a URL, or the relay's sources.
    fn service(&self, program: Program, database: &str) -> ServiceOptions {
        let variable = match program {
            Program::StoreManager | Program::Payments => "DATABASE_URL",
            Program::OutboxRelay => "RELAY_SOURCES",
        };
        ServiceOptions {
            program,
            binaries: self.binaries.clone(),
            logs: self.logs.clone(),
            environment: vec![(variable.to_owned(), database.to_owned())],
        }
    }
}

/// Prints the end of a service's log.
fn show(service: &Service) {
    let path = service.log();
    let text = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    eprintln!("--- the end of {}:\n{shown}", path.display());
}
