//! Debezium Server with its outbox event router, at its best settings and with as many headers as the relay writes: the other
//! contender.
//!
//! It reads the database's log, which is kept for it by a replication slot from before the first row on. Each run gets a copy
//! of that slot, so that all of them read the same.

use anyhow::Context;
use sqlx::{Executor, raw_sql};

use super::{ground::Ground, options::RelayPlan, rows::connect};
use crate::stack::{Debezium, DebeziumOptions};

/// The publication that Debezium reads.
const ACCESS: &str = include_str!("../../../../deploy/debezium/access.sql");
/// The slot that is copied for each run.
const KEEP: &str =
    "SELECT pg_create_logical_replication_slot('kept_' || current_database(), 'pgoutput')";
/// Debezium's slot is named so in its settings.
const COPY: &str = "SELECT pg_copy_logical_replication_slot(
    'kept_' || current_database(), 'debezium_' || current_database()
)";
/// With these it was fastest of all that were tried, and smallest.
const JVM: [&str; 2] = ["-Xmx1g", "-XX:+UseParallelGC"];

/// The same for both tunings. Nothing is read but the log. Of the relay's headers only the version of CloudEvents is no
/// column, and Debezium has one of its own, `id`, so that both write ten.
const SETTINGS: [(&str, &str); 4] = [
    ("debezium.source.snapshot.mode", "no_data"),
    ("debezium.sink.kafka.producer.batch.size", "262144"),
    ("debezium.source.max.batch.size", "8192"),
    ("debezium.source.max.queue.size", "32768"),
];

/// What it is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tuning {
    /// As many rows a second as it can.
    Rate,
    /// Rows as soon as it can.
    Latency,
}

/// A Debezium Server that can be started.
pub(super) struct Rival;

impl Tuning {
    fn settings(self) -> [(&'static str, &'static str); 2] {
        let (poll_ms, linger_ms) = match self {
            Self::Rate => ("10", "5"),
            Self::Latency => ("1", "0"),
        };
        [
            ("debezium.source.poll.interval.ms", poll_ms),
            ("debezium.sink.kafka.producer.linger.ms", linger_ms),
        ]
    }
}

impl Rival {
    /// The one on this machine, if it is wanted; else why there is none.
    pub(super) async fn wanted(plan: &RelayPlan) -> Result<Self, String> {
        if plan.no_debezium {
            return Err("left out with --no-debezium".to_owned());
        }
        match Debezium::available().await {
            Ok(()) => Ok(Self),
            Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
        }
    }

    /// Lets the database keep its log from now on, so that all rows to come can be read from it.
    pub(super) async fn keep_log(&self, url: &str) -> anyhow::Result<()> {
        let mut connection = connect(url).await?;
        raw_sql(ACCESS).execute(&mut connection).await.context("there is no publication")?;
        connection.execute(KEEP).await.context("there is no slot")?;
        Ok(())
    }

    /// Starts one that has published nothing of the database at `url`, whose log has been kept.
    pub(super) async fn start(
        &self,
        ground: &Ground,
        url: &str,
        tuning: Tuning,
    ) -> anyhow::Result<Debezium> {
        connect(url).await?.execute(COPY).await.context("there is no slot")?;
        let settings = SETTINGS.into_iter().chain(tuning.settings());
        let options = DebeziumOptions {
            database: url.to_owned(),
            brokers: ground.brokers().await?.to_owned(),
            java_options: JVM.map(str::to_owned).to_vec(),
            settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        Ok(ground.stack().debezium(options).await?)
    }
}
