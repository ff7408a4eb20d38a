//! Why a command could not do what it was asked, in one sentence.

use std::io;

use thiserror::Error;

use crate::fault::Fault;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    /// What was asked makes no sense, and no other try will help.
    #[error("{0}")]
    Usage(String),
    /// Something is wrong with one source.
    #[error("source {name}: {fault}")]
    Source {
        /// Its name.
        name: String,
        /// What, and what to do.
        fault: Fault,
    },
    /// Something else is wrong.
    #[error("{0}")]
    Fault(Fault),
    /// Standard output does not take the answer.
    #[error("the answer cannot be written")]
    Output(#[from] io::Error),
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<sqlx::Error> for CommandError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(Fault::of_database(&error))
    }
}
