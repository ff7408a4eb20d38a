//! What all figures stand on: durable servers of their own, with the memory and the compiler of servers in earnest, a database
//! with an outbox, and the relay.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use sqlx::{Executor, PgConnection};

use super::{
    cpu::Pids,
    rows::{Rows, connect},
    topic::Topic,
};
use crate::{
    processes::{self, Program},
    stack::{Kafka, Process, Stack, StackOptions, tail},
};

/// The topic that all rows are for.
pub(super) const TOPIC: &str = "bench.events";

const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How the relay delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

/// Servers, and the relay's binary.
pub(super) struct Ground {
    stack: Stack,
    relay: PathBuf,
    relay_arguments: Vec<String>,
    progress_topics: AtomicU32,
}

impl Ground {
    /// Starts the servers.
    pub(super) async fn prepare(relay_arguments: &str) -> anyhow::Result<Self> {
        let binaries = processes::build().await?;
        let options = StackOptions { durable: true, roomy: true, ..StackOptions::default() };
        let stack = Stack::start(options).await?;
        let mut connection = connect(&stack.postgres_url("postgres")).await?;
        // It would run now during one contender's turn and now during another's.
        connection.execute("ALTER SYSTEM SET autovacuum = off").await?;
        connection.execute("SELECT pg_reload_conf()").await?;
        Ok(Self {
            stack,
            relay: binaries.join(Program::OutboxRelay.name()),
            relay_arguments: relay_arguments.split_whitespace().map(str::to_owned).collect(),
            progress_topics: AtomicU32::new(0),
        })
    }

    /// Stops the servers.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.stack.stop().await?)
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    pub(super) async fn kafka(&self) -> anyhow::Result<&Kafka> {
        Ok(self.stack.kafka().await?)
    }

    pub(super) async fn brokers(&self) -> anyhow::Result<&str> {
        Ok(self.kafka().await?.brokers())
    }

    /// Those whose processor time is taken, with that of `process`.
    pub(super) async fn pids(&self, process: Option<i32>) -> anyhow::Result<Pids> {
        let postgres = self.stack.postgres().pid().await.context("PostgreSQL does not run")?;
        let kafka = self.kafka().await?.pid().await.context("Kafka does not run")?;
        Ok(Pids { process, postgres, kafka })
    }

    /// The topic for all rows, empty.
    pub(super) async fn topic(&self) -> anyhow::Result<Topic> {
        Topic::fresh(self.brokers().await?, TOPIC).await
    }

    /// A new database with an empty outbox.
    pub(super) async fn database(&self, name: &str) -> anyhow::Result<String> {
        let url = self.stack.create_database(name).await?;
        self.relay_step(&["init", "--database-url", &url]).await?;
        Ok(url)
    }

    /// Removes a database, whoever is still connected to it.
    pub(super) async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        let mut connection = connect(&self.stack.postgres_url("postgres")).await?;
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        connection.execute(sqlx::AssertSqlSafe(drop)).await?;
        Ok(())
    }

    /// Starts a relay that has never published anything of the database at `url`.
    pub(super) async fn relay(&self, url: &str, delivery: Delivery) -> anyhow::Result<Process> {
        let number = self.progress_topics.fetch_add(1, Ordering::Relaxed);
        let progress_topic = format!("bench.progress.{number}");
        let brokers = self.brokers().await?;
        let arguments = ["--kafka-brokers", brokers, "--progress-topic", &progress_topic];
        self.relay_step(&[&["topics"][..], &arguments].concat()).await?;
        let forget = "UPDATE messaging.outbox_epoch SET published_at = NULL";
        connect(url).await?.execute(forget).await?;
        let mut command = self.command();
        command
            .arg("run")
            .args(arguments)
            .args(["--sources", &format!("bench={url}"), "--admin-listen", "127.0.0.1:0"])
            .args(&self.relay_arguments);
        if delivery == Delivery::ExactlyOnce {
            command.args(["--delivery", "exactly-once"]);
        }
        let log = self.stack.directory().join(format!("relay-{number}.log"));
        Ok(Process::spawn("outbox-relay", command, &log, Signal::SIGKILL)?)
    }

    /// Starts this program with other arguments, as a contender of its own.
    pub(super) fn lab(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        let mut command = Command::new(own_program()?);
        command.args(arguments);
        let log = self.stack.directory().join(format!("{name}.log"));
        Ok(Process::spawn(name, command, &log, Signal::SIGKILL)?)
    }

    /// Runs another command of the relay's to its end.
    async fn relay_step(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::from(self.command());
        let output = command.args(arguments).output().await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "outbox-relay {} failed: {complaint}", arguments[0]);
        Ok(())
    }

    /// The relay, without what may be in this environment for another one.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.relay);
        for (name, _) in std::env::vars_os() {
            let foreign = ["RELAY_", "OTEL_", "KAFKA_", "DATABASE_URL"];
            if name.to_str().is_some_and(|name| foreign.iter().any(|with| name.starts_with(with))) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// Stops a process that is still running, as an operator would.
pub(super) async fn stop(process: &Process) -> anyhow::Result<()> {
    let status = process.stop(Signal::SIGTERM, STOP_PATIENCE).await?;
    if !status.success() {
        bail!("it ended with {status}: {}", tail(process.log()));
    }
    Ok(())
}

/// A database full of rows that nobody has published.
pub(super) struct Backlog {
    pub(super) url: String,
    pub(super) rows: i64,
    name: String,
}

/// This program, even where a build has replaced its file since it was started.
fn own_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

impl Backlog {
    /// Fills a new database. `before` is called while its outbox is still empty.
    pub(super) async fn fill(
        ground: &Ground,
        rows: i64,
        per_transaction: i64,
        before: impl AsyncFnOnce(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let name = format!("backlog_{per_transaction}");
        let url = ground.database(&name).await?;
        before(&url).await?;
        let mut connection = connect(&url).await?;
        Rows { topic: TOPIC, count: rows, per_transaction }.write(&mut connection).await?;
        settle(&mut connection).await?;
        Ok(Self { url, rows, name })
    }

    /// Removes the database.
    pub(super) async fn remove(self, ground: &Ground) -> anyhow::Result<()> {
        ground.drop_database(&self.name).await
    }
}

/// Leaves nothing to do for those who read first: hint bits, statistics, dirty pages.
pub(super) async fn settle(connection: &mut PgConnection) -> anyhow::Result<()> {
    connection.execute("VACUUM (FREEZE, ANALYZE) messaging.outbox").await?;
    connection.execute("CHECKPOINT").await?;
    Ok(())
}
