//! A real PostgreSQL and a real Apache Kafka, started natively from what Maven Central has, for tests and for `lab up`.
//!
//! In a test of one service, which needs a database of its own:
//! ```no_run
//! # async fn test() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use lab::stack::Stack;
//!
//! let stack = Stack::shared().await?; // one PostgreSQL for the test binary: the first caller starts it
//! stack
//!     .template("store_manager", async |url| {
//!         // once for the test binary: run migrations and seeds against `url`, then close the pool
//!         Ok::<_, sqlx::Error>(())
//!     })
//!     .await?;
//! let database_url = stack.database_from_template("store_manager").await?; // a fresh copy, in 50 ms
//! let brokers = stack.kafka().await?.brokers(); // one Kafka for the test binary, started when first asked for
//! # Ok(()) }
//! ```
//! Which Kafka?
//! - A handler is tested without: call it with a connection and a record.
//! - A consumer loop or a relay on **topics whose names the test makes up** uses [`Stack::kafka`], shared by the binary.
//! - What uses the store's own topics, or stops the broker, takes [`Stack::fresh_kafka`]: 2.5 s, 340 MB, its own;
//!   likewise [`Stack::fresh_postgres`] for what stops PostgreSQL.
//!
//! **Nothing is left behind.** Dropped, a server is stopped and its data removed. If this process ends otherwise, also by
//! `kill -9`, the kernel kills the servers ([`Process`], `PR_SET_PDEATHSIG`), and a janitor (`lab janitor`, a process that
//! waits for the end of a pipe) removes the directory. In test binaries of other packages the janitor is used if
//! `target/<profile>/lab` has been built; without it, the next stack removes directories whose owner is gone.
//!
//! Run as root, PostgreSQL runs as `nobody`.

mod account;
mod cache;
mod databases;
mod debezium;
mod directory;
mod error;
mod janitor;
mod java;
mod kafka;
mod maven;
pub mod ports;
mod postgres;
pub(crate) mod postgres_url;
mod pre_exec;
mod process;
mod proxy;
mod secured;
mod spawner;
mod unpacked;

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use tokio::sync::OnceCell;
use uuid::Uuid;

pub use debezium::{Debezium, DebeziumError, DebeziumOptions};
pub use error::StackError;
pub use janitor::run as run_janitor;
pub use kafka::Kafka;
pub use postgres::Postgres;
pub use process::Process;
pub use proxy::{Proxy, Way};
pub use secured::{Certificate, Secured};

pub(crate) use cache::{profile_directory, target_directory};
pub(crate) use error::tail;

use cache::Programs;
use databases::Templates;
use directory::RunDirectory;
use error::could_not;
use kafka::Further;

/// What lets the members of a consumer group be taken for dead after a second already, if they wish.
const IMPATIENT: &str = "group.min.session.timeout.ms=1000";

/// What a stack is made of.
#[derive(Clone, Debug, Default)]
pub struct StackOptions {
    /// Where data and logs go and stay; temporary if `None`.
    pub directory: Option<PathBuf>,
    /// Where logs go instead, which must exist.
    pub logs: Option<PathBuf>,
    /// Further settings of PostgreSQL (`wal_level=replica`); they win over those that every run has.
    pub postgres_settings: Vec<String>,
    /// Whether PostgreSQL survives a crash of the machine; tests need not.
    pub durable: bool,
    /// Whether both get the memory and the compiler of a server in earnest; tests start faster and smaller without.
    pub roomy: bool,
    /// The port of PostgreSQL; a free one if `None`.
    pub postgres_port: Option<u16>,
    /// The port of Kafka; a free one if `None`.
    pub kafka_port: Option<u16>,
    /// The URL of a PostgreSQL that is there already.
    pub postgres: Option<String>,
    /// `HOST:PORT` of a Kafka that is there already.
    pub kafka: Option<String>,
}

/// A PostgreSQL and, once asked for, a Kafka. Dropped, both are stopped and temporary data removed.
#[derive(Debug)]
pub struct Stack {
    postgres: Postgres,
    kafka: OnceCell<Kafka>,
    templates: Templates,
    options: StackOptions,
    programs: OnceCell<Programs>,
    // Last, so that it is dropped last: first the servers stop.
    directory: RunDirectory,
}

impl Stack {
    /// Starts PostgreSQL and Kafka, both at once.
    ///
    /// # Errors
    /// If one does not start; says why, and what to do.
    pub async fn start(options: StackOptions) -> Result<Self, StackError> {
        let directory = match &options.directory {
            Some(path) => RunDirectory::kept(path)?,
            None => RunDirectory::temporary()?,
        };
        let programs = OnceCell::new();
        let (postgres, kafka) = tokio::try_join!(
            start_postgres(&options, &programs, directory.path()),
            start_kafka(&options, &programs, directory.path().join("kafka"), Further::default()),
        )?;
        let kafka = OnceCell::new_with(Some(kafka));
        Ok(Self { postgres, kafka, templates: Templates::default(), options, programs, directory })
    }

    /// Starts PostgreSQL; Kafka follows when it is first asked for.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_postgres_only(options: StackOptions) -> Result<Self, StackError> {
        let directory = match &options.directory {
            Some(path) => RunDirectory::kept(path)?,
            None => RunDirectory::temporary()?,
        };
        let programs = OnceCell::new();
        let postgres = start_postgres(&options, &programs, directory.path()).await?;
        let kafka = OnceCell::new();
        Ok(Self { postgres, kafka, templates: Templates::default(), options, programs, directory })
    }

    /// The one stack of this process, started by whoever asks first; Kafka when first asked for.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn shared() -> Result<&'static Self, StackError> {
        static SHARED: OnceCell<Stack> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start_postgres_only(StackOptions::default())).await
    }

    /// A stack in a directory of its own below this one's, which stays as long as this one: with the same PostgreSQL, and whatever
    /// else is started in it lies there.
    ///
    /// # Errors
    /// If the directory cannot be created.
    pub fn below(&self, kind: &str) -> Result<Self, StackError> {
        Ok(Self {
            postgres: Postgres::external(&self.postgres_url("postgres")),
            kafka: OnceCell::new(),
            templates: Templates::default(),
            options: StackOptions::default(),
            programs: self.programs.clone(),
            directory: RunDirectory::kept(&self.fresh_directory(kind)?)?,
        })
    }

    /// The PostgreSQL server.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// The Kafka broker, started by whoever asks first.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn kafka(&self) -> Result<&Kafka, StackError> {
        let directory = self.directory.path().join("kafka");
        self.kafka
            .get_or_try_init(|| {
                start_kafka(&self.options, &self.programs, directory, Further::default())
            })
            .await
    }

    /// Another Kafka on free ports, for a test that uses the store's topics or stops its broker.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_kafka(&self) -> Result<Kafka, StackError> {
        self.fresh_kafka_with("").await
    }

    /// As [`fresh_kafka`](Self::fresh_kafka), with further lines of `server.properties`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_kafka_with(&self, settings: &str) -> Result<Kafka, StackError> {
        let directory = self.fresh_directory("kafka")?;
        let further = Further { settings, ..Further::default() };
        start_kafka(&StackOptions::default(), &self.programs, directory, further).await
    }

    /// As [`fresh_kafka`](Self::fresh_kafka), with a listener that is secure.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_kafka_secured(&self, secured: &Secured) -> Result<Kafka, StackError> {
        let directory = self.fresh_directory("kafka")?;
        let further = Further { secured: Some(secured), ..Further::default() };
        start_kafka(&StackOptions::default(), &self.programs, directory, further).await
    }

    /// As [`fresh_kafka`](Self::fresh_kafka), with listeners behind something else: the port of each, and the port that its
    /// clients are told. Members of its consumer groups may want to be taken for dead sooner than usual.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_kafka_behind(&self, behind: &[(u16, u16)]) -> Result<Kafka, StackError> {
        let directory = self.fresh_directory("kafka")?;
        let further = Further { behind, settings: IMPATIENT, ..Further::default() };
        start_kafka(&StackOptions::default(), &self.programs, directory, further).await
    }

    /// Another PostgreSQL on a free port, for a test that stops it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_postgres(&self) -> Result<Postgres, StackError> {
        self.fresh_postgres_with(&[]).await
    }

    /// The same with further settings, such as `wal_level=replica`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_postgres_with(&self, settings: &[&str]) -> Result<Postgres, StackError> {
        let directory = self.fresh_directory("postgres")?;
        let postgres_settings = settings.iter().map(ToString::to_string).collect();
        let options = StackOptions { postgres_settings, ..StackOptions::default() };
        start_postgres(&options, &self.programs, &directory).await
    }

    /// Another PostgreSQL that talks TLS to whoever wants it, with this certificate.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn fresh_postgres_with_tls(
        &self,
        certificate: &Certificate,
    ) -> Result<Postgres, StackError> {
        let directory = self.fresh_directory("tls")?;
        let settings = postgres::tls(certificate, &directory)?;
        self.fresh_postgres_with(&settings.each_ref().map(String::as_str)).await
    }

    /// Starts Debezium Server on the outbox of a database; when this returns, it publishes.
    ///
    /// # Errors
    /// [`DebeziumError::NoJava`] or [`DebeziumError::NotAvailable`] where it cannot be run, for which a test says that it is
    /// skipped; otherwise if it does not start.
    pub async fn debezium(&self, options: DebeziumOptions) -> Result<Debezium, DebeziumError> {
        Debezium::start_new(self.fresh_directory("debezium")?, options).await
    }

    /// The URL of the database `name`, which need not exist.
    #[must_use]
    pub fn postgres_url(&self, name: &str) -> String {
        self.postgres.url(name)
    }

    /// Creates the empty database `name`; answers its URL.
    ///
    /// # Errors
    /// If it exists, or PostgreSQL refuses.
    pub async fn create_database(&self, name: &str) -> Result<String, StackError> {
        self.postgres.create_database(name).await
    }

    /// Creates the database `name` unless it exists; answers its URL.
    ///
    /// # Errors
    /// If PostgreSQL refuses.
    pub async fn ensure_database(&self, name: &str) -> Result<String, StackError> {
        databases::ensure(&self.postgres, name).await
    }

    /// Makes the template `name`, once for this stack: `migrate` gets the URL of an empty database, and must have closed
    /// its connections when it ends.
    ///
    /// # Errors
    /// If the migration fails, or PostgreSQL refuses.
    pub async fn template<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        name: &str,
        migrate: impl AsyncFnOnce(String) -> Result<(), E>,
    ) -> Result<(), StackError> {
        self.templates.ensure(&self.postgres, name, migrate).await
    }

    /// Creates a database that is a copy of the template `name`; answers its URL.
    ///
    /// # Errors
    /// If there is no such template, or PostgreSQL refuses.
    pub async fn database_from_template(&self, name: &str) -> Result<String, StackError> {
        self.templates.copy(&self.postgres, name).await
    }

    /// Where this stack's data and logs are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops what is ours, tidily. Dropping does it at once.
    ///
    /// # Errors
    /// If something does not stop in time; it is killed.
    pub async fn stop(self) -> Result<(), StackError> {
        if let Some(kafka) = self.kafka.get() {
            kafka.shut_down().await?;
        }
        self.postgres.shut_down().await
    }

    fn fresh_directory(&self, kind: &str) -> Result<PathBuf, StackError> {
        let path = self.directory.path().join(format!("{kind}-{}", Uuid::now_v7()));
        directory::create(&path)?;
        Ok(path)
    }
}

async fn start_postgres(
    options: &StackOptions,
    programs: &OnceCell<Programs>,
    directory: &Path,
) -> Result<Postgres, StackError> {
    if let Some(url) = &options.postgres {
        return Ok(Postgres::external(url));
    }
    let port =
        port(options.postgres_port, "PostgreSQL", " or give your own with --postgres URL").await?;
    let programs = fetched(programs).await?;
    let logs = options.logs.as_deref().unwrap_or(directory);
    let mut settings = options.postgres_settings.clone();
    if !options.durable {
        settings.extend(postgres::FORGETFUL.map(str::to_owned));
    }
    if options.roomy {
        settings.extend(postgres::ROOMY.map(str::to_owned));
    }
    Postgres::start_new(programs, directory, logs, port, settings).await
}

async fn start_kafka(
    options: &StackOptions,
    programs: &OnceCell<Programs>,
    directory: PathBuf,
    further: Further<'_>,
) -> Result<Kafka, StackError> {
    if let Some(brokers) = &options.kafka {
        return Ok(Kafka::external(brokers));
    }
    let broker =
        port(options.kafka_port, "Kafka", " or give your own with --kafka HOST:PORT").await?;
    let controller = port(None, "Kafka's controller", "").await?;
    let java = java::find()?;
    let programs = fetched(programs).await?;
    let logs = options.logs.clone().unwrap_or_else(|| directory.clone());
    let jvm = kafka::jvm(options.roomy);
    let ports = (broker, controller);
    Kafka::start_new(java, programs, directory, &logs, ports, further, jvm).await
}

/// A fixed port or a free one.
async fn port(
    number: Option<u16>,
    what: &'static str,
    cure: &'static str,
) -> Result<u16, StackError> {
    match number {
        Some(number) => ports::fixed(number, what, cure).await,
        None => ports::free(),
    }
}

/// The programs, fetched at most once.
async fn fetched(programs: &OnceCell<Programs>) -> Result<&Programs, StackError> {
    programs
        .get_or_try_init(async || {
            tokio::task::spawn_blocking(cache::programs)
                .await
                .map_err(|error| could_not("fetch the stack")(error.into()))?
        })
        .await
}
