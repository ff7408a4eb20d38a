//! A tiny store with what it needs: the same databases, topics and broker that the real one has, and none of its processes.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, sleep},
};
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use super::{
    Armed, Flaw, NaiveError, Place,
    flaw::Role,
    places::HELD,
    quiet,
    relay::Relay,
    store::{pool, producer},
};
use crate::{
    processes::{self, Program},
    stack::{Process, Stack, StackError, ports},
    system::{System, SystemOptions},
};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A tiny store: its databases and its broker, and its process while it lives. Dropped, it is gone.
#[derive(Debug)]
pub struct NaiveShop {
    system: System,
    flaw: Flaw,
    decline_above_minor: i64,
    binary: PathBuf,
    log: PathBuf,
    listen: SocketAddr,
    process: Mutex<Option<Process>>,
}

impl NaiveShop {
    /// One that has the seed data, and no process yet.
    ///
    /// # Errors
    /// If what it needs does not start.
    pub async fn open(stack: &Stack, flaw: Flaw) -> Result<Self, NaiveError> {
        let options = SystemOptions { stopped: Program::ALL.to_vec(), ..SystemOptions::default() };
        let system = System::start_with(stack, options).await?;
        let shop = Self {
            flaw,
            decline_above_minor: i64::MAX,
            binary: processes::build().await?.join("lab"),
            log: system.store_manager.log().with_file_name("naive-store.log"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?)),
            process: Mutex::new(None),
            system,
        };
        shop.prepare().await?;
        Ok(shop)
    }

    /// The same, with a provider that refuses totals above `limit`.
    #[must_use]
    pub fn declining_above(self, limit: i64) -> Self {
        Self { decline_above_minor: limit, ..self }
    }

    /// Publishes the seed data, which is not what the shop is about; and where payments are not remembered, gives up that an
    /// order has only one.
    async fn prepare(&self) -> Result<(), NaiveError> {
        let (orders, payments) = (pool(self.orders()).await?, pool(self.payments()).await?);
        let producer = producer(self.brokers())?;
        Relay::new([&orders, &payments], &producer, self.brokers()).await?.look().await?;
        if !self.flaw.remembers(Role::Payments) {
            let drop = "ALTER TABLE payments.payments DROP CONSTRAINT payments_order_id_key";
            sqlx::query(drop).execute(&payments).await?;
        }
        Ok(())
    }

    /// Starts its process, and waits until callers are served. It dies at `die_at`.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(&self, die_at: Option<Armed>) -> Result<(), NaiveError> {
        let die_at = die_at.map(|armed| ["--die-at".to_owned(), armed.to_string()]);
        self.spawn(die_at.into_iter().flatten()).await
    }

    /// Starts its process; the first to come by `place` waits there, as long as there is a [`Hold`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_waiting_at(&self, place: Place) -> Result<(), NaiveError> {
        self.spawn(["--wait-at".to_owned(), place.name().to_owned()].into_iter()).await
    }

    async fn spawn(&self, arguments: impl Iterator<Item = String>) -> Result<(), NaiveError> {
        let mut command = Command::new(&self.binary);
        command
            .args(["naive-store", "--flaw", self.flaw.name()])
            .args(["--orders", self.orders(), "--payments", self.payments()])
            .args(["--brokers", self.brokers(), "--listen", &self.listen.to_string()])
            .args(["--decline-above-minor", &self.decline_above_minor.to_string()])
            .args(arguments);
        let process = Process::spawn("naive-store", command, &self.log, Signal::SIGKILL)?;
        process.ready(PATIENCE, async || TcpStream::connect(self.listen).await.is_ok()).await?;
        *self.process.lock().await = Some(process);
        Ok(())
    }

    /// Waits until its process has died where it was told to.
    ///
    /// # Errors
    /// If it does not die, or ends otherwise than by SIGKILL.
    pub async fn dies(&self) -> Result<(), NaiveError> {
        let Some(process) = self.process.lock().await.take() else { return Ok(()) };
        let status = process.ended(PATIENCE).await?;
        if status.signal() == Some(Signal::SIGKILL as i32) {
            Ok(())
        } else {
            Err(StackError::ended("naive-store", status, &self.log).into())
        }
    }

    /// Kills its process, wherever it is.
    pub async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.kill().await;
        }
    }

    /// Waits until nothing moves any more, though an order may be stuck.
    ///
    /// # Errors
    /// If it goes on, or has ended.
    pub async fn rests(&self) -> Result<(), NaiveError> {
        let (orders, payments) = (pool(self.orders()).await?, pool(self.payments()).await?);
        let waiting = async |published: &HashSet<Uuid>| {
            if let Some(process) = &*self.process.lock().await
                && let Some(status) = process.exit_status()
            {
                return Err(StackError::ended("naive-store", status, &self.log).into());
            }
            if self.flaw.publishes_itself() {
                return Ok(0);
            }
            let mut waiting = 0;
            for pool in [&orders, &payments] {
                let ids: Vec<Uuid> =
                    sqlx::query_scalar("SELECT id FROM messaging.outbox").fetch_all(pool).await?;
                waiting += ids.iter().filter(|id| !published.contains(*id)).count();
            }
            Ok(waiting)
        };
        quiet::until_quiet(self.brokers(), waiting).await
    }

    /// Whoever waits at a place goes on once the answer is let go.
    ///
    /// # Errors
    /// If PostgreSQL refuses.
    pub async fn hold(&self) -> Result<Hold, NaiveError> {
        let mut connection = PgConnection::connect(self.orders()).await?;
        let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(HELD);
        lock.execute(&mut connection).await?;
        Ok(Hold { connection, brokers: self.brokers().to_owned() })
    }

    /// Callers' way to it; it connects by itself whenever it must.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.listen))
            .expect("a socket address makes a valid URL")
            .connect_lazy()
    }

    /// The URL of the database of orders and stock.
    #[must_use]
    pub fn orders(&self) -> &str {
        self.system.store_manager_database()
    }

    /// The URL of the database of payments.
    #[must_use]
    pub fn payments(&self) -> &str {
        self.system.payments_database()
    }

    /// Its Kafka.
    #[must_use]
    pub fn brokers(&self) -> &str {
        self.system.kafka().brokers()
    }
}

/// What somebody waits for at a place.
#[derive(Debug)]
pub struct Hold {
    connection: PgConnection,
    brokers: String,
}

impl Hold {
    /// Waits until `count` sessions of the orders' database wait for a lock, this one's or another's.
    ///
    /// # Errors
    /// If PostgreSQL refuses, or it takes too long.
    pub async fn until_waiting(&mut self, count: i64) -> Result<(), NaiveError> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE wait_event_type = 'Lock' AND datname = current_database()",
            )
            .fetch_one(&mut self.connection)
            .await?;
            if waiting >= count {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(NaiveError::Restless(PATIENCE.as_secs()))
    }

    /// Waits until all that is committed in the orders' outbox is on Kafka.
    ///
    /// # Errors
    /// If PostgreSQL or Kafka refuses, or it takes too long.
    pub async fn until_published(&mut self) -> Result<(), NaiveError> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let rows = sqlx::query_scalar("SELECT id FROM messaging.outbox");
            let rows: Vec<Uuid> = rows.fetch_all(&mut self.connection).await?;
            let published = quiet::published(&self.brokers).await?;
            if rows.iter().all(|id| published.contains(id)) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(NaiveError::Restless(PATIENCE.as_secs()))
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// If PostgreSQL refuses.
    pub async fn let_go(self) -> Result<(), NaiveError> {
        Ok(self.connection.close().await?)
    }
}
