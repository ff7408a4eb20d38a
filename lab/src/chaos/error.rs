//! Why a round could not be played to its end.

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::{
    audit::AuditError,
    stack::{DebeziumError, StackError},
    system::SystemError,
};

/// Why a round could not be played to its end: this says nothing of the system's promises.
#[derive(Debug, Error)]
pub enum ChaosError {
    /// The system did not start.
    #[error("the system does not start")]
    System(#[from] SystemError),
    /// A process could not be started or stopped.
    #[error("a process does not do as it is told")]
    Stack(#[from] StackError),
    /// There is no Debezium.
    #[error("debezium does not start")]
    Debezium(#[from] DebeziumError),
    /// PostgreSQL refused what a fault is made of.
    #[error("the database refuses")]
    Sql(#[from] sqlx::Error),
    /// Kafka refused what a fault is made of.
    #[error("kafka refuses")]
    Kafka(#[from] KafkaError),
    /// The auditor could not read the system.
    #[error("the system cannot be audited")]
    Audit(#[from] AuditError),
    /// What a fault needs is not part of this system.
    #[error("the system has no {0}")]
    Missing(&'static str),
    /// There is no such fault.
    #[error("there is no fault `{0}`: `lab chaos --list` names them")]
    UnknownFault(String),
    /// A fault is not possible in the round that is asked for.
    #[error("fault `{0}` cannot happen with this delivery and this relay")]
    Impossible(String),
    /// A file could not be read or written.
    #[error("a log cannot be read or kept")]
    Io(#[from] std::io::Error),
}
