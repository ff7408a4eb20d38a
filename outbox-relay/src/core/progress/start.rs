//! Where a source starts, and when it must not go on by itself.

use thiserror::Error;
use uuid::Uuid;

use crate::core::ledger::Reached;
use crate::core::progress::{Identity, Progress};

/// Why a source must not go on by itself.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Discontinuity {
    /// The progress was made on another table.
    #[error(
        "the progress record of this source belongs to another table (system {}, timeline {}, database {}, epoch {}; \
         connected to system {}, timeline {}, database {}, epoch {}): the database was restored, failed over or replaced, \
         or two sources share a name; unless they do, run `outbox-relay audit --repair` for this source",
        .recorded.system, .recorded.timeline, .recorded.database, .recorded.epoch,
        .actual.system, .actual.timeline, .actual.database, .actual.epoch
    )]
    OtherTable {
        /// The table of the progress record.
        recorded: Box<Identity>,
        /// The table the relay is connected to.
        actual: Box<Identity>,
    },
    /// The sequence has gone back.
    #[error(
        "the progress record has reached number {recorded}, but the sequence of the table only {actual}: \
         committed rows were lost, or the sequence was set back; run `outbox-relay audit --repair` for this source"
    )]
    AheadOfTable {
        /// The head of the progress record.
        recorded: i64,
        /// The last value of the sequence.
        actual: i64,
    },
    /// The progress record is gone.
    #[error(
        "epoch {0} of this table is marked as published, but the progress topic holds no record of this source: \
         the topic was emptied, or the source renamed; unless it was renamed, run `outbox-relay audit --repair` for this source"
    )]
    ProgressMissing(Uuid),
}

/// Where a source starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing of this table has been published.
    First,
    /// The relay, or one before it, has come this far.
    From(Reached),
}

/// Decides where to start from what the progress topic and the database say.
pub(crate) fn start(
    recorded: Option<Progress>,
    actual: &Identity,
    marked_as_published: bool,
    last_value: i64,
) -> Result<Start, Discontinuity> {
    let Some(recorded) = recorded else {
        return if marked_as_published {
            Err(Discontinuity::ProgressMissing(actual.epoch))
        } else {
            Ok(Start::First)
        };
    };
    if recorded.identity != *actual {
        return Err(Discontinuity::OtherTable {
            recorded: Box::new(recorded.identity),
            actual: Box::new(actual.clone()),
        });
    }
    if recorded.reached.position.head() > last_value {
        return Err(Discontinuity::AheadOfTable {
            recorded: recorded.reached.position.head(),
            actual: last_value,
        });
    }
    Ok(Start::From(recorded.reached))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::progress::samples::{identity, progress};

    #[test]
    fn a_first_start_is_told_from_a_lost_progress_record() {
        assert_eq!(start(None, &identity(1), false, 0), Ok(Start::First));
        assert_eq!(
            start(None, &identity(1), true, 0),
            Err(Discontinuity::ProgressMissing(Uuid::from_u128(1)))
        );
    }

    #[test]
    fn progress_of_another_table_or_ahead_of_it_is_a_discontinuity() {
        let recorded = |epoch| Progress { identity: identity(epoch), ..progress(&[1, 5], &[]) };
        assert!(matches!(
            start(Some(recorded(2)), &identity(1), true, 9),
            Err(Discontinuity::OtherTable { .. })
        ));
        assert_eq!(
            start(Some(recorded(1)), &identity(1), true, 4),
            Err(Discontinuity::AheadOfTable { recorded: 5, actual: 4 })
        );
        assert_eq!(
            start(Some(recorded(1)), &identity(1), true, 5),
            Ok(Start::From(progress(&[1, 5], &[]).reached))
        );
    }
}
