//! Where a round happens: a system of its own, all of whose ways can be disturbed, and what its callers do there.

use std::{
    collections::BTreeMap,
    fs, io,
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};

use super::{
    ChaosError, Lane, Plan,
    coverage::{Busy, STEPS},
    crashes::crashes,
    relay::{self, Relay},
    workload::Recorder,
};
use crate::{
    audit::Owner,
    links::Link,
    processes::{Program, Service},
    stack::{Debezium, Kafka, Postgres, Proxy, Stack, StackError, Way},
    system::{System, SystemOptions},
};

/// How long a program may take to serve again, also while what it needs is down.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(200);
/// How long a lane waits for orders to be completed before its next fault.
const CALM: Duration = Duration::from_secs(6);
/// How long a client may take to come back to a server that is there again: so much there may be between two tries.
const COMING_BACK: Duration = Duration::from_secs(10);

/// Few enough that all can be used up.
const CONNECTIONS: &str = "max_connections=90";

/// A consumer that was killed or is frozen is taken for dead so soon that orders go on between two faults.
const IMPATIENT: &str = "session.timeout.ms=2000,heartbeat.interval.ms=500";

/// Orders above it are declined by the simulated provider, in cents.
pub(super) const PAYMENT_LIMIT: i64 = 500_000;

/// A system and its callers' record.
#[derive(Debug)]
pub struct World {
    pub(super) system: System,
    pub(super) recorder: Recorder,
    /// One for each database, if they are the relay.
    pub(super) debezium: Vec<Debezium>,
    relay: Relay,
    /// Until when programs may still feel that they were cut off from PostgreSQL or Kafka, by the lane of what did it.
    felt_until: Mutex<BTreeMap<Lane, Instant>>,
    /// The programs that did not stop tidily, a sentence each.
    untidy: Mutex<Vec<String>>,
    /// How processes that ran beside the system's own ended by themselves.
    other_ends: Mutex<Vec<(Program, ExitStatus)>>,
}

impl World {
    /// A fresh system with servers of its own.
    pub(super) async fn open(stack: &Stack, plan: &Plan) -> Result<Self, ChaosError> {
        let set = |program, name: &str, value: &str| (program, name.to_owned(), value.to_owned());
        let impatient = |program| set(program, "CONSUMER_SETTINGS", IMPATIENT);
        let options = SystemOptions {
            own_postgres: true,
            linked: true,
            postgres_settings: vec![CONNECTIONS.to_owned()],
            environment: vec![
                impatient(Program::StoreManager),
                impatient(Program::Payments),
                set(Program::OutboxRelay, "RELAY_DELIVERY", plan.delivery.name()),
                set(Program::Payments, "PROVIDER_DECLINE_ABOVE_MINOR", &PAYMENT_LIMIT.to_string()),
            ],
            stopped: if plan.relay == Relay::Debezium {
                vec![Program::OutboxRelay]
            } else {
                Vec::new()
            },
        };
        let system = System::start_with(stack, options).await?;
        let databases = [system.store_manager_database(), system.payments_database()];
        let debezium = match plan.relay {
            Relay::OutboxRelay => Vec::new(),
            Relay::Debezium => relay::debezium(stack, databases, system.kafka().brokers()).await?,
        };
        Ok(Self {
            system,
            recorder: Recorder::default(),
            debezium,
            relay: plan.relay,
            felt_until: Mutex::default(),
            untidy: Mutex::default(),
            other_ends: Mutex::default(),
        })
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// A way that a fault disturbs.
    pub(super) fn link(&self, link: Link) -> Result<&Proxy, ChaosError> {
        self.system.links().and_then(|links| links.get(link)).ok_or(ChaosError::Missing("link"))
    }

    /// The database server.
    pub(super) fn postgres(&self) -> Result<&Postgres, ChaosError> {
        self.system.postgres().ok_or(ChaosError::Missing("PostgreSQL of its own"))
    }

    /// The broker.
    pub(super) fn kafka(&self) -> &Kafka {
        self.system.kafka()
    }

    /// A connection to a service, through its link.
    pub(super) fn channel(&self, program: Program) -> Result<Channel, ChaosError> {
        let address = self.link(Link::Callers(program))?.address();
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .expect("a socket address makes a valid URL");
        Ok(endpoint.connect_lazy())
    }

    /// A connection to store-manager's database that no fault but the server's own disturbs.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        self.connect_to(Owner::StoreManager).await
    }

    /// The same to a service's database.
    pub(super) async fn connect_to(&self, owner: Owner) -> sqlx::Result<PgConnection> {
        PgConnection::connect(match owner {
            Owner::StoreManager => self.system.store_manager_database(),
            Owner::Payments => self.system.payments_database(),
        })
        .await
    }

    /// Starts a program until it serves: what it needs may be down.
    pub(super) async fn revive(&self, program: Program) -> Result<(), ChaosError> {
        let service = self.system.service(program);
        persistently(async || {
            let started = service.start().await;
            if started.is_err() {
                service.kill().await;
            }
            started
        })
        .await?;
        Ok(())
    }

    /// Starts the Debezium Servers that do not run: they end by themselves where Kafka is away for long.
    pub(super) async fn revive_debezium(&self) -> Result<(), ChaosError> {
        for server in &self.debezium {
            persistently(async || server.start().await).await?;
        }
        Ok(())
    }

    /// Asks a program to stop. Where it does not, or not tidily, that is told at the end, unless it cannot reach what it needs.
    pub(super) async fn stop(&self, program: Program) {
        let service = self.system.service(program);
        if !service.is_running().await {
            // It notes how it ended by itself.
            service.kill().await;
            return;
        }
        let began = Instant::now();
        if let Err(error) = service.stop().await
            && !self.was_cut_off(program.into(), began)
        {
            let error = ChaosError::from(error).in_one_line();
            lock(&self.untidy).push(format!("asked to stop, {error}"));
        }
    }

    /// Does what cuts programs off from PostgreSQL or Kafka: one, or all if it happens to the servers.
    pub(super) async fn while_cut_off<T>(&self, lane: Lane, work: impl Future<Output = T>) -> T {
        lock(&self.felt_until).insert(lane, Instant::now() + Duration::from_secs(3_600));
        let done = Box::pin(work).await;
        lock(&self.felt_until).insert(lane, Instant::now() + COMING_BACK);
        done
    }

    /// Whether a program could have been cut off from PostgreSQL or Kafka since `began`.
    fn was_cut_off(&self, lane: Lane, began: Instant) -> bool {
        let felt_until = lock(&self.felt_until);
        [lane, Lane::Servers].iter().filter_map(|lane| felt_until.get(lane)).any(|at| *at > began)
    }

    /// Notes how a process that ran beside the system's own has ended, if it did so by itself.
    pub(super) async fn note_ends(&self, other: &Service) {
        let ends = other.ends().await;
        let program = other.options().program;
        lock(&self.other_ends).extend(ends.into_iter().map(|end| (program, end)));
    }

    /// Makes everything whole again; answers which programs are not ready then, a sentence each.
    pub(super) async fn heal(&self) -> Result<Vec<String>, ChaosError> {
        for link in Link::ALL {
            self.link(link)?.set(Way::Open);
        }
        let postgres = self.postgres()?;
        persistently(async || postgres.start().await).await?;
        self.kafka().resume().await?;
        persistently(async || self.kafka().start().await).await?;
        let mut unready = Vec::new();
        for program in Program::ALL {
            if program != Program::OutboxRelay || self.relay == Relay::OutboxRelay {
                self.system.service(program).resume().await;
                match self.revive(program).await {
                    Ok(()) => {}
                    Err(
                        error @ ChaosError::Stack(
                            StackError::Ended { .. } | StackError::TooSlow { .. },
                        ),
                    ) => unready.push(error.in_one_line()),
                    Err(error) => return Err(error),
                }
            }
        }
        self.revive_debezium().await?;
        Ok(unready)
    }

    /// What its programs did that no fault explains, such as a panic: a sentence each.
    pub(super) async fn crashes(&self) -> io::Result<Vec<String>> {
        let mut found = lock(&self.untidy).clone();
        for program in Program::ALL {
            let service = self.system.service(program);
            // Where Debezium is the relay, ours never ran.
            let log = if service.log().exists() { fs::read(service.log())? } else { Vec::new() };
            let log = String::from_utf8_lossy(&log);
            let mut ends = service.ends().await;
            let others = lock(&self.other_ends).clone();
            ends.extend(others.iter().filter(|(of, _)| *of == program).map(|(_, end)| *end));
            found.extend(crashes(program.name(), &log, &ends));
        }
        Ok(found)
    }

    /// Waits until more than `before` orders are completed, so that there are orders on every step again; not for long, since what
    /// happens in other lanes may keep them from it. Answers how many are.
    pub(super) async fn more_completed(&self, before: i64) -> i64 {
        let deadline = Instant::now() + CALM;
        let mut completed = before;
        while completed <= before && Instant::now() < deadline {
            let look = async {
                let sql = "SELECT count(*) FROM store_manager.orders WHERE state = 'COMPLETED'";
                sqlx::query_scalar(sql).fetch_one(&mut self.connect().await?).await
            };
            let looked = tokio::time::timeout(PAUSE * 5, Box::pin(look)).await;
            completed = looked.unwrap_or(Ok(before)).unwrap_or(before);
            sleep(PAUSE).await;
        }
        completed
    }

    /// In which steps of the road there are orders; nobody knows if the databases do not tell in time.
    pub(super) async fn under_way(&self) -> Option<Busy> {
        let look = async {
            let mut busy = Busy::default();
            for owner in Owner::ALL {
                let mut connection = self.connect_to(owner).await?;
                for (busy, step) in
                    busy.iter_mut().zip(STEPS).filter(|(_, step)| step.owner == owner)
                {
                    let sql = AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {})", step.rows));
                    *busy = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
                }
            }
            Ok::<_, sqlx::Error>(busy)
        };
        tokio::time::timeout(PAUSE * 5, Box::pin(look)).await.ok()?.ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tries until it succeeds, or until its failure has lasted.
pub(super) async fn persistently<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
            result => return result,
        }
    }
}
