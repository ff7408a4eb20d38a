//! Why a round could not be played to its end.

use std::{error::Error, time::Duration};

use rdkafka::error::KafkaError;
use thiserror::Error;
use uuid::Uuid;

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
    /// The relay does not do what an operator commands.
    #[error("event {0}, which Kafka had refused, is not there {seconds} s after an operator commanded it again", seconds = .1.as_secs())]
    Unhelped(Uuid, Duration),
    /// A log could not be read.
    #[error("a log cannot be read")]
    Io(#[from] std::io::Error),
    /// A fault could not be carried out or healed.
    #[error("fault `{name}` cannot be carried out or healed")]
    Fault {
        /// Which.
        name: String,
        /// Why not.
        #[source]
        source: Box<Self>,
    },
    /// There is no such fault.
    #[error("there is no fault `{0}`: `lab chaos --list` names them")]
    UnknownFault(String),
    /// Text that should be a number of a fault.
    #[error("`{0}` does not end in the number of a fault, such as `{name}#2`", name = .0.split('#').next().unwrap_or_default())]
    FaultNumber(String),
    /// These faults cannot happen, or not in one round, as it is asked for.
    #[error("no round can have {0} with this delivery and this relay")]
    Impossible(String),
    /// The relay that was asked for does not deliver as was asked for.
    #[error("debezium delivers at least once only: leave out --delivery, or the relay")]
    Undeliverable,
    /// Every fault was asked for, in too few rounds, or in more than there are faults.
    #[error(
        "{rounds} rounds cannot have all {faults} faults between them: choose --rounds from {least} to {faults}"
    )]
    Uncoverable {
        /// How many rounds were asked for.
        rounds: u64,
        /// How many faults there are.
        faults: usize,
        /// In how many rounds they all can be.
        least: usize,
    },
}

impl ChaosError {
    /// The error and its causes in one line: of a log that one of them shows, only where it is.
    pub(super) fn in_one_line(&self) -> String {
        let mut lines = Vec::new();
        let mut cause: Option<&dyn Error> = Some(self);
        while let Some(error) = cause {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            lines.push(line.trim_end_matches(" ends so:").to_owned());
            cause = error.source();
        }
        // A transparent error says what its source says.
        lines.dedup();
        lines.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::stack::StackError;

    #[test]
    fn an_error_with_its_causes_is_one_line() {
        let source = StackError::Io {
            what: "start Kafka\nits log".to_owned(),
            source: io::Error::other("no room"),
        };
        let fault = ChaosError::Fault {
            name: "kafka.killed".to_owned(),
            source: Box::new(ChaosError::Stack(source)),
        };
        assert_eq!(
            fault.in_one_line(),
            "fault `kafka.killed` cannot be carried out or healed: a process does not do as it is told: \
             could not start Kafka: no room"
        );
    }
}
