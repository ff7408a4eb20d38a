//! How handling fails, and what each failure means: the one place that tells transient from permanent.

use std::error::Error;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a handler did not handle a record.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// Something is down or busy: the record is tried again, without end.
    #[error("the record cannot be handled now")]
    Retry(#[source] BoxError),
    /// The record can never be handled; the text says why. It is parked as a dead letter.
    #[error("{0}")]
    Reject(String),
    /// The record has no event id, in neither `ce_id` nor `id`. Parked.
    #[error("the record has no event id in the header ce_id or id")]
    NoEventId,
    /// The payload is not the topic's message. Parked.
    #[error("the payload is not the message of its topic")]
    Undecodable(#[from] prost::DecodeError),
    /// The database refused; [`classify`] says what follows.
    #[error("a statement failed")]
    Database(#[from] sqlx::Error),
}

/// What a failure means for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Lost against another transaction: likely to succeed at once when tried alone.
    Contention,
    /// Not the record's fault: try again, without end.
    Transient,
    /// The record's own fault, if it also fails alone.
    Suspect,
    /// The handler decided: never.
    Permanent,
}

impl HandleError {
    /// What this failure means.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Retry(_) => Class::Transient,
            Self::Reject(_) | Self::NoEventId | Self::Undecodable(_) => Class::Permanent,
            Self::Database(error) => classify(error),
        }
    }

    /// The word for it in the header `dlq-reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Reject(_) => "rejected",
            Self::NoEventId => "no-event-id",
            Self::Undecodable(_) => "undecodable",
            Self::Database(_) => "database",
        }
    }
}

/// What a database error means. What is not known to be the statement's fault is transient: a record must not be parked
/// because a migration or a privilege is missing.
#[must_use]
pub fn classify(error: &sqlx::Error) -> Class {
    if let Some(refusal) = error.as_database_error() {
        let code = refusal.code().unwrap_or_default();
        return classify_sqlstate(&code, refusal.constraint().is_some());
    }
    #[allow(clippy::wildcard_enum_match_arm, reason = "the enum is open, and transient is safe")]
    match error {
        sqlx::Error::RowNotFound
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. } => Class::Suspect,
        _ => Class::Transient,
    }
}

fn classify_sqlstate(code: &str, names_a_constraint: bool) -> Class {
    match code {
        "40001" | "40P01" => Class::Contention,
        // A missing partition, which housekeeping will create.
        "23514" if !names_a_constraint => Class::Transient,
        // A handler went on after a statement of its had failed.
        "25P02" => Class::Suspect,
        // Cardinality, data, constraint, trigger, function, check option, RAISE.
        _ if ["21", "22", "23", "27", "2F", "38", "39", "44", "P0"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Class::Suspect
        }
        // Connection (08), resources (53), operator (57), system (58), locks (55), schema and privileges (42) and others.
        _ => Class::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_records_own_faults_are_suspect() {
        for (code, class) in [
            ("40001", Class::Contention),
            ("40P01", Class::Contention),
            ("08006", Class::Transient),
            ("53300", Class::Transient),
            ("55P03", Class::Transient),
            ("57014", Class::Transient),
            ("57P01", Class::Transient),
            ("42P01", Class::Transient),
            ("XX000", Class::Transient),
            ("22003", Class::Suspect),
            ("23503", Class::Suspect),
            ("23514", Class::Suspect),
            ("25P02", Class::Suspect),
        ] {
            assert_eq!(classify_sqlstate(code, true), class, "{code}");
        }
        assert_eq!(classify_sqlstate("23514", false), Class::Transient, "no partition for the row");
        assert_eq!(classify(&sqlx::Error::PoolTimedOut), Class::Transient);
        assert_eq!(classify(&sqlx::Error::RowNotFound), Class::Suspect);
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = HandleError::Database(sqlx::Error::RowNotFound);
        assert!(runtime::with_causes(&error).starts_with("a statement failed: no rows returned"));
    }
}
