//! Debezium Server, which can publish an outbox in the place of the relay: fetched from Maven Central when first asked for,
//! run directly as `java`, with the settings that `docker-compose.yml` gives it too.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use thiserror::Error;
use tokio::sync::Mutex;

use super::{
    cache,
    error::{StackError, could_not},
    java,
    process::Process,
};

const LEAST_JAVA: u32 = 21;
const PATIENCE: Duration = Duration::from_secs(120);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const SETTINGS: &str = include_str!("../../../deploy/debezium/application.properties");
const ACCESS: &str = include_str!("../../../deploy/debezium/access.sql");

/// Why Debezium Server does not publish.
#[derive(Debug, Error)]
pub enum DebeziumError {
    /// There is none that could run it.
    #[error(
        "Debezium Server needs Java {LEAST_JAVA} or later, and none was found by JAVA_HOME, in PATH or in /usr/lib/jvm"
    )]
    NoJava,
    /// It could not be fetched.
    #[error("Debezium Server could not be fetched from Maven Central")]
    NotAvailable(#[source] StackError),
    /// It is there, and does not start.
    #[error(transparent)]
    Stack(#[from] StackError),
}

/// What a Debezium Server does.
#[derive(Clone, Debug, Default)]
pub struct DebeziumOptions {
    /// The URL of the database whose `messaging.outbox` it publishes, as somebody who may create roles.
    pub database: String,
    /// Where to: `HOST:PORT`.
    pub brokers: String,
    /// The JVM's options, as `-Xmx1g`; a small heap if there are none.
    pub java_options: Vec<String>,
    /// Settings that are to be other than in `deploy/debezium/application.properties`, as
    /// `debezium.source.poll.interval.ms`, `debezium.source.max.batch.size`, `debezium.source.max.queue.size` or
    /// `debezium.sink.kafka.producer.linger.ms`.
    pub settings: Vec<(String, String)>,
}

/// A Debezium Server. Dropped, it is killed; its replication slot stays until [`remove`](Self::remove).
#[derive(Debug)]
pub struct Debezium {
    java: PathBuf,
    programs: PathBuf,
    directory: PathBuf,
    database: PgConnectOptions,
    options: DebeziumOptions,
    process: Mutex<Option<Process>>,
}

impl Debezium {
    /// Whether it can be run here; fetches it if need be.
    ///
    /// # Errors
    /// [`DebeziumError::NoJava`] or [`DebeziumError::NotAvailable`] if not.
    pub async fn available() -> Result<(), DebeziumError> {
        found().await.map(drop)
    }

    /// Starts one with its offsets in `directory`.
    pub(super) async fn start_new(
        directory: PathBuf,
        options: DebeziumOptions,
    ) -> Result<Self, DebeziumError> {
        let (java, programs) = found().await?;
        let database = options.database.parse().map_err(failed("read the database's URL"))?;
        configure(&directory)?;
        let process = Mutex::new(None);
        let debezium = Self { java, programs, directory, database, options, process };
        debezium.give_access().await?;
        debezium.start().await?;
        Ok(debezium)
    }

    /// Starts it after [`kill`](Self::kill) or [`stop`](Self::stop), and waits until it streams. Does nothing if it runs.
    ///
    /// # Errors
    /// If it ends, or does not stream in time; shows the end of its log.
    pub async fn start(&self) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        if process.as_ref().is_some_and(|process| process.exit_status().is_none()) {
            return Ok(());
        }
        let before = self.now().await?;
        let started =
            Process::spawn("Debezium Server", self.command(), &self.log(), Signal::SIGKILL)?;
        started.ready(PATIENCE, async || self.streams_since(before).await.unwrap_or(false)).await?;
        *process = Some(started);
        Ok(())
    }

    /// Kills it at once (`SIGKILL`).
    pub async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.kill().await;
        }
    }

    /// Stops it tidily.
    ///
    /// # Errors
    /// If it does not stop in time.
    pub async fn stop(&self) -> Result<(), StackError> {
        if let Some(process) = self.process.lock().await.take() {
            process.stop(Signal::SIGTERM, STOP_PATIENCE).await?;
        }
        Ok(())
    }

    /// Stops it for good and drops its replication slot, which would keep the server's WAL for ever.
    ///
    /// # Errors
    /// If it does not stop, or PostgreSQL refuses.
    pub async fn remove(self) -> Result<(), StackError> {
        self.stop().await?;
        let mut connection = self.connect().await?;
        // The server may not have noticed yet that nobody reads from it any more.
        for statement in [
            "SELECT pg_catalog.pg_terminate_backend(active_pid, 10000)
                FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active",
            "SELECT pg_catalog.pg_drop_replication_slot($1)",
        ] {
            let query = sqlx::query(statement).bind(self.slot());
            query.execute(&mut connection).await.map_err(failed("drop Debezium's slot"))?;
        }
        Ok(())
    }

    /// The operating system's id of its process; `None` if it does not run.
    pub async fn pid(&self) -> Option<i32> {
        self.process.lock().await.as_ref().map(Process::pid)
    }

    /// Whether its process is there. It ends by itself where Kafka refuses a record or is away for a minute.
    pub async fn is_running(&self) -> bool {
        self.process.lock().await.as_ref().is_some_and(|process| process.exit_status().is_none())
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("debezium.log")
    }

    /// The name of its replication slot.
    #[must_use]
    pub fn slot(&self) -> String {
        format!("debezium_{}", self.database_name())
    }

    /// Whether it has come through what the table held already, on a connection younger than `since`, and streams.
    async fn streams_since(&self, since: f64) -> Result<bool, StackError> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS slot
            JOIN pg_catalog.pg_stat_replication AS sender ON sender.pid = slot.active_pid
            WHERE slot.slot_name = $1 AND sender.state IN ('catchup', 'streaming')
                AND sender.backend_start > to_timestamp($2))";
        let mut connection = self.connect().await?;
        let query = sqlx::query_scalar(sql).bind(self.slot()).bind(since);
        query.fetch_one(&mut connection).await.map_err(failed("look at Debezium's slot"))
    }

    async fn now(&self) -> Result<f64, StackError> {
        let sql = "SELECT extract(epoch FROM clock_timestamp())::float8";
        let mut connection = self.connect().await?;
        let query = sqlx::query_scalar(sql);
        query.fetch_one(&mut connection).await.map_err(failed("ask for the time"))
    }

    async fn give_access(&self) -> Result<(), StackError> {
        let mut connection = self.connect().await?;
        let given = sqlx::raw_sql(ACCESS).execute(&mut connection).await;
        given.map_err(failed("give access to Debezium"))?;
        Ok(())
    }

    async fn connect(&self) -> Result<PgConnection, StackError> {
        let connected = PgConnection::connect_with(&self.database).await;
        connected.map_err(failed("connect to Debezium's database"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.java);
        let small = ["-Xmx256m", "-XX:+UseSerialGC"].map(str::to_owned);
        let options = &self.options.java_options;
        command
            .current_dir(&self.directory)
            .env("DATABASE_HOST", self.database.get_host())
            .env("DATABASE_PORT", self.database.get_port().to_string())
            .env("DATABASE_NAME", self.database_name())
            .env("KAFKA_BROKERS", &self.options.brokers)
            .args(if options.is_empty() { &small[..] } else { options })
            // A JVM that is killed would leave a file in /tmp behind.
            .arg("-XX:-UsePerfData")
            // Its native libraries are unpacked there, and go with the directory.
            .arg(format!("-Djava.io.tmpdir={}", self.directory.display()))
            // Its health is not asked for over HTTP here, so it needs no port.
            .arg("-Dquarkus.http.host-enabled=false")
            // The JVM's properties win over those of the file.
            .args(self.options.settings.iter().map(|(key, value)| format!("-D{key}={value}")))
            .arg("-cp")
            .arg(format!("{0}/*:{0}/lib/*", self.programs.display()))
            .arg("io.debezium.server.Main");
        command
    }

    fn database_name(&self) -> &str {
        self.database.get_database().unwrap_or("postgres")
    }
}

/// A Java that can run it, and where it is.
async fn found() -> Result<(PathBuf, PathBuf), DebeziumError> {
    let java = java::at_least(LEAST_JAVA).ok_or(DebeziumError::NoJava)?;
    let programs = tokio::task::spawn_blocking(cache::debezium)
        .await
        .map_err(|error| could_not("fetch Debezium Server")(error.into()))?
        .map_err(DebeziumError::NotAvailable)?;
    Ok((java, programs))
}

/// Writes what it reads at its start.
fn configure(directory: &Path) -> Result<(), StackError> {
    let what = || could_not("configure Debezium Server");
    for name in ["config", "data"] {
        fs::create_dir(directory.join(name)).map_err(what())?;
    }
    fs::write(directory.join("config/application.properties"), SETTINGS).map_err(what())
}

fn failed(what: &str) -> impl FnOnce(sqlx::Error) -> StackError {
    let what = what.to_owned();
    move |source| StackError::Sql { what, source }
}
