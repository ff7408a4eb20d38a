//! Who carries events to Kafka in a round: our relay, or Debezium Server in its place, one for each database.

use std::fmt;

use super::ChaosError;
use crate::stack::{Debezium, DebeziumOptions, Stack};

/// Who carries events to Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Relay {
    /// Ours.
    #[default]
    OutboxRelay,
    /// Debezium Server, at least once, with the settings that `docker-compose.yml` gives it too.
    Debezium,
}

impl fmt::Display for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::OutboxRelay => "outbox-relay",
            Self::Debezium => "debezium",
        })
    }
}

/// Starts a Debezium Server for each of these databases.
pub(super) async fn debezium(
    stack: &Stack,
    databases: [&str; 2],
    brokers: &str,
) -> Result<Vec<Debezium>, ChaosError> {
    let mut started = Vec::new();
    for database in databases {
        let (database, brokers) = (database.to_owned(), brokers.to_owned());
        let options = DebeziumOptions { database, brokers, ..DebeziumOptions::default() };
        started.push(stack.debezium(options).await?);
    }
    Ok(started)
}
