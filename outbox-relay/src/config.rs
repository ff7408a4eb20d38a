//! The command line; every flag is also an environment variable.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use runtime::fail_points::FailPoint;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::kafka::KafkaOptions;
use crate::source::Limits;
use crate::source::partitions::Partitions;
use crate::source::producer::Delivery;

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
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The databases to publish from: name=url, separated by commas. A name stands for one table for ever.
    #[arg(long, env = "RELAY_SOURCES", hide_env_values = true, value_name = "NAME=URL,…", value_parser = runtime::config::secret(check_sources))]
    pub sources: SecretString,
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
    #[arg(long, value_delimiter = ',', hide = true)]
    pub fail_points: Vec<FailPoint>,
    /// Numbers in each partition that the relay creates.
    #[arg(long, env = "RELAY_PARTITION_ROWS", default_value_t = 10_000_000, value_parser = clap::value_parser!(i64).range(1_000..))]
    pub partition_rows: i64,
    /// Partitions kept ahead of the numbers drawn.
    #[arg(long, env = "RELAY_PARTITIONS_AHEAD", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub partitions_ahead: u32,
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

/// What is wrong with the sources.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// One of them is not name=url.
    #[error("entry {0} is not NAME=postgres://…, a name being of a-z, 0-9, _ and -")]
    NotASource(usize),
    /// Two have the same name.
    #[error("the name {0} is given twice")]
    Twice(String),
}

/// A source's name and where it is.
#[derive(Clone, Debug)]
pub(crate) struct SourceAddress {
    pub(crate) name: String,
    pub(crate) url: SecretString,
}

impl Hidden {
    /// The value.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl RunOptions {
    /// The sources, all of them well formed.
    pub(crate) fn addresses(&self) -> Result<Vec<SourceAddress>, ConfigError> {
        parse_sources(self.sources.expose_secret())
    }

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

    pub(crate) fn partitions(&self) -> Partitions {
        Partitions { rows: self.partition_rows, ahead: self.partitions_ahead as usize }
    }
}

fn check_sources(sources: &str) -> Result<(), String> {
    parse_sources(sources).map(drop).map_err(|error| error.to_string())
}

fn parse_sources(sources: &str) -> Result<Vec<SourceAddress>, ConfigError> {
    let mut addresses: Vec<SourceAddress> = Vec::new();
    for (index, entry) in sources.split(',').enumerate() {
        let address = address(entry).ok_or(ConfigError::NotASource(index + 1))?;
        if addresses.iter().any(|other| other.name == address.name) {
            return Err(ConfigError::Twice(address.name));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn address(entry: &str) -> Option<SourceAddress> {
    let (name, url) = entry.trim().split_once('=')?;
    let named = !name.is_empty()
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    (named && is_url).then(|| SourceAddress { name: name.to_owned(), url: url.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(sources: &str) -> Result<Vec<String>, ConfigError> {
        Ok(parse_sources(sources)?.into_iter().map(|address| address.name).collect())
    }

    #[test]
    fn sources_are_names_and_urls() {
        assert_eq!(
            addresses("a=postgres://x/y, b-2=postgresql://u:p@h/d"),
            Ok(vec!["a".into(), "b-2".into()])
        );
        assert_eq!(addresses("a=postgres://x/y,b"), Err(ConfigError::NotASource(2)));
        assert_eq!(addresses("A=postgres://x/y"), Err(ConfigError::NotASource(1)));
        assert_eq!(
            addresses("a=postgres://x/y,a=postgres://x/z"),
            Err(ConfigError::Twice("a".into()))
        );
    }
}
