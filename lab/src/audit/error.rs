//! Why a system could not be audited.

use rdkafka::error::KafkaError;
use thiserror::Error;

/// Why a system could not be audited.
#[derive(Debug, Error)]
pub enum AuditError {
    /// A database does not answer, or has other tables.
    #[error("the database of {name} cannot be read")]
    Database {
        /// Whose.
        name: &'static str,
        /// What it says.
        #[source]
        source: sqlx::Error,
    },
    /// Nobody answers where Kafka should be.
    #[error("kafka does not answer at {brokers}")]
    NoKafka {
        /// Where.
        brokers: String,
        /// What was seen.
        #[source]
        source: KafkaError,
    },
    /// Kafka refuses, or does not answer any more.
    #[error("kafka cannot be read")]
    Kafka(#[from] KafkaError),
    /// Kafka answers, and a partition does not come to its end.
    #[error("partition {partition} of topic {topic} does not come to its end")]
    Silent {
        /// Of which topic.
        topic: String,
        /// Which.
        partition: i32,
    },
}
