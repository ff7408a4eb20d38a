//! What can go wrong with a store that is broken on purpose, besides its flaw.

use prost::DecodeError;
use rdkafka::error::KafkaError;

use crate::{processes::BuildError, stack::StackError, system::SystemError};

/// Why a store or its shop failed.
#[derive(Debug, thiserror::Error)]
pub enum NaiveError {
    /// The databases and the broker did not start.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The store's process did not do as it should.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// There are no binaries.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// PostgreSQL refused.
    #[error("the database refuses")]
    Sql(#[from] sqlx::Error),
    /// Kafka refused.
    #[error("kafka refuses")]
    Kafka(#[from] KafkaError),
    /// A record is no event of its topic.
    #[error("a record is no event of its topic")]
    Decode(#[from] DecodeError),
    /// An event says something that cannot be.
    #[error("an event without {0}")]
    Event(&'static str),
    /// The server failed.
    #[error("the server failed")]
    Server(#[from] tonic::transport::Error),
    /// It goes on and on.
    #[error("the store still works after {0} s")]
    Restless(u64),
}

impl From<uuid::Error> for NaiveError {
    fn from(_: uuid::Error) -> Self {
        Self::Event("an id")
    }
}
