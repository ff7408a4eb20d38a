//! A fault as its operator wants to read it: one sentence that names the cause and the cure.
//!
//! - [`database`]: what PostgreSQL and the way to it say.
//! - [`kafka`]: what Kafka's client says.

pub(crate) mod database;
mod kafka;
mod kafka_tls;

use serde::Serialize;
use thiserror::Error;

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize)]
#[error("{cause}: {cure}")]
pub(crate) struct Fault {
    /// What is wrong, as a clause.
    pub(crate) cause: String,
    /// What to do, as a clause that begins with a verb.
    pub(crate) cure: String,
}

impl Fault {
    /// A fault of these two clauses.
    pub(crate) fn new(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { cause: cause.into(), cure: cure.into() }
    }
}
