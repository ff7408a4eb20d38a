//! Why a round could not be judged, or was spoilt by more than its fault.

use std::io;

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};
use thiserror::Error;
use uuid::Uuid;

use crate::{processes::BuildError, stack::StackError};

/// Why a round did not come to its end.
#[derive(Debug, Error)]
pub enum RoundError {
    /// The relay could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A process ended, or did not do what was expected of it in time.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// PostgreSQL refused.
    #[error("the database refuses")]
    Sql(#[from] sqlx::Error),
    /// Kafka refused.
    #[error("kafka refuses")]
    Kafka(#[from] KafkaError),
    /// A topic could not be made or changed.
    #[error("topic {topic}: {code}")]
    Topic {
        /// Its name.
        topic: String,
        /// What Kafka says.
        code: RDKafkaErrorCode,
    },
    /// The file system refused.
    #[error("the round's directory cannot be used")]
    Io(#[from] io::Error),
    /// A topic does not show its end.
    #[error("topic {0} has sent neither records nor its end for 30 s")]
    Silent(String),
    /// An operator's commands come to nothing.
    #[error("commands for event {0} have not made its key flow within 90 s")]
    NotHelped(Uuid),
    /// Servers were to be broken that others use.
    #[error("the servers of this round are not its own")]
    SharedServers,
}
