//! The command line; every flag is also an environment variable.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use runtime::fail_points::{FailPoint, road};
use secrecy::{ExposeSecret, SecretString};

use crate::kafka::KafkaOptions;
use crate::operator::OperatorCommand;
use crate::source::Limits;
use crate::source::partitions::{Partitions, Retention};
use crate::source::producer::Delivery;
use crate::source::wal::Feed;
use crate::sources::SourcesOptions;

/// The relay's command line.
#[derive(Debug, Parser)]
#[command(name = "outbox-relay", version, about = "Moves committed outbox rows to Kafka")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the relay can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publishes what is committed, until stopped.
    Run(Box<RunOptions>),
    /// Creates the progress topic.
    Topics(TopicsOptions),
    /// Creates the outbox table in a database, or prints the SQL that does.
    Init(InitOptions),
    /// What an operator asks.
    #[command(flatten)]
    Operate(OperatorCommand),
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The databases to publish from.
    #[command(flatten)]
    pub sources: SourcesOptions,
    /// How Kafka is reached.
    #[command(flatten)]
    pub kafka: KafkaOptions,
    /// How often an event may come to Kafka.
    #[arg(long, env = "RELAY_DELIVERY", value_enum, default_value = "at-least-once")]
    pub delivery: Delivery,
    /// Where metrics and health are served.
    #[arg(long, env = "ADMIN_LISTEN", default_value = "127.0.0.1:9103")]
    pub admin_listen: SocketAddr,
    /// A file to write the real addresses to, as JSON, once they are bound.
    #[arg(long, env = "ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,
    /// The compacted topic that keeps the progress.
    #[arg(long, env = "RELAY_PROGRESS_TOPIC", default_value = crate::topics::PROGRESS_TOPIC)]
    pub progress_topic: String,
    /// Milliseconds the relay sleeps at most without being woken.
    #[arg(long, env = "RELAY_FALLBACK_POLL_MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub fallback_poll_ms: u64,
    /// Rows read at once.
    #[arg(long, env = "RELAY_PAGE_ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub page_rows: u32,
    /// Records of one source that may be unacknowledged.
    #[arg(long, env = "RELAY_ROWS_IN_FLIGHT", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rows_in_flight: u32,
    /// Bytes of one source that may be unacknowledged; one record may always be.
    #[arg(long, env = "RELAY_BYTES_IN_FLIGHT", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub bytes_in_flight: u32,
    /// Runs of open gaps above which nothing is read ahead.
    #[arg(long, env = "RELAY_GAP_RUNS", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub gap_runs: u32,
    /// Keys that may be parked; at one more the source stops.
    #[arg(long, env = "RELAY_PARKED_KEYS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub parked_keys: u32,
    /// Where this process fails on purpose: NAME=ACTION[@HIT], for tests.
    #[arg(long, value_delimiter = ',', hide = true, value_parser = FailPoint::of(&road::RELAY))]
    pub fail_points: Vec<FailPoint>,
    /// Numbers in each partition that the relay creates.
    #[arg(long, env = "RELAY_PARTITION_ROWS", default_value_t = 10_000_000, value_parser = clap::value_parser!(i64).range(1_000..))]
    pub partition_rows: i64,
    /// Partitions kept ahead of the numbers drawn; 0 if somebody else sees to them.
    #[arg(long, env = "RELAY_PARTITIONS_AHEAD", default_value_t = 11, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub partitions_ahead: u32,
    /// Where rows are read from; whatever keeps the WAL from being followed, the table is polled.
    #[arg(long, env = "RELAY_FEED", value_enum, default_value_t = FeedKind::Table)]
    pub feed: FeedKind,
    /// Bytes of WAL that the slot of the WAL feed may hold back; it is dropped above.
    #[arg(long, env = "RELAY_WAL_BUDGET_BYTES", default_value_t = 4 << 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub wal_budget_bytes: u64,
    /// How long a partition stays when all of it is published: a number with s, m, h or d, or `off` for ever.
    #[arg(long, env = "RELAY_RETENTION", default_value = "7d")]
    pub(crate) retention: Retention,
}

/// Where rows are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FeedKind {
    /// The table: works on any PostgreSQL, needs no slot.
    Table,
    /// A replication slot: commit order across keys, no polling; needs wal_level=logical and REPLICATION.
    Wal,
}

/// Options of `topics`.
#[derive(Clone, Debug, Args)]
pub struct TopicsOptions {
    /// How Kafka is reached.
    #[command(flatten)]
    pub kafka: KafkaOptions,
    /// The compacted topic that keeps the progress.
    #[arg(long, env = "RELAY_PROGRESS_TOPIC", default_value = crate::topics::PROGRESS_TOPIC)]
    pub progress_topic: String,
    /// How many brokers keep a copy of it; the cluster's default if not given.
    #[arg(long, env = "RELAY_PROGRESS_REPLICATION")]
    pub replication: Option<i32>,
}

/// Options of `init`.
#[derive(Clone, Debug, Args)]
pub struct InitOptions {
    /// The database that gets the table.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, required_unless_present = "print")]
    pub database_url: Option<Hidden>,
    /// Print the SQL and touch nothing.
    #[arg(long)]
    pub print: bool,
}

/// A value that may hold a password, and is never shown.
#[derive(Clone, Debug)]
pub struct Hidden(SecretString);

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(value: &str) -> Result<Self, Infallible> {
        Ok(Self(value.into()))
    }
}

impl Hidden {
    /// The value.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl RunOptions {
    pub(crate) fn limits(&self) -> Limits {
        let bytes_in_flight = self.bytes_in_flight as usize;
        let rows_in_flight = self.rows_in_flight as usize;
        Limits {
            page_rows: (self.page_rows as usize).min(rows_in_flight),
            page_bytes: (bytes_in_flight / 4).max(1),
            rows_in_flight,
            bytes_in_flight,
            gap_runs: self.gap_runs as usize,
            parked_keys: self.parked_keys as usize,
            fallback_poll: Duration::from_millis(self.fallback_poll_ms),
        }
    }

    pub(crate) fn feed(&self) -> Feed {
        match self.feed {
            FeedKind::Table => Feed::Table,
            FeedKind::Wal => Feed::Wal { budget: self.wal_budget_bytes },
        }
    }

    pub(crate) fn partitions(&self) -> Partitions {
        Partitions {
            rows: self.partition_rows,
            ahead: self.partitions_ahead as usize,
            retention: self.retention,
        }
    }
}
