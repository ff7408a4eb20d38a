//! What a check has found: that all is well, that something may go wrong, or that it will.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::fault::Fault;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// All is well.
    Ok,
    /// It works, and may one day not.
    Warning,
    /// It does not work.
    Fault,
}

/// What one check has found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// The check's name.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) level: Level,
    /// What there is, or what is wrong.
    pub(crate) said: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cure: Option<String>,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(check: &'static str, said: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, said: said.into(), cure: None }
    }

    /// It may go wrong.
    pub(crate) fn warning(check: &'static str, fault: Fault) -> Self {
        Self { check, level: Level::Warning, said: fault.cause, cure: Some(fault.cure) }
    }

    /// It is wrong.
    pub(crate) fn fault(check: &'static str, fault: Fault) -> Self {
        Self { check, level: Level::Fault, said: fault.cause, cure: Some(fault.cure) }
    }

    /// What is wrong, if it is.
    pub(crate) fn into_fault(self) -> Option<Fault> {
        match self.level {
            Level::Fault => Some(Fault::new(self.said, self.cure.unwrap_or_default())),
            Level::Ok | Level::Warning => None,
        }
    }
}

impl Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        })
    }
}

impl Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.check, self.said)?;
        self.cure.as_ref().map_or(Ok(()), |cure| write!(out, ": {cure}"))
    }
}
