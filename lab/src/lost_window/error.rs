//! Why the experiment could not be made.

use crate::{audit::AuditError, naive::NaiveError, stack::StackError, system::SystemError};

/// Why the experiment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LostWindowError {
    /// The store without an outbox.
    #[error("the store without an outbox")]
    Naive(#[from] NaiveError),
    /// The store with an outbox did not start.
    #[error(transparent)]
    System(#[from] SystemError),
    /// One of its processes did not do as it should.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A call was refused.
    #[error("a call was refused")]
    Refused(#[from] tonic::Status),
    /// PostgreSQL refused.
    #[error("the database refuses")]
    Sql(#[from] sqlx::Error),
    /// The auditor could not read what is there.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A process answered where it should have died.
    #[error("{0} answered, and should have died before")]
    Alive(&'static str),
    /// A process has died, and not with the commit of the order that was to be its death.
    #[error("{0} died with another commit than the order's")]
    Elsewhere(&'static str),
    /// What was waited for did not come.
    #[error("not within {seconds} s: {what}")]
    Never {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
}
