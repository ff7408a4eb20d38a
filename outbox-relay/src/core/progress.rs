//! The progress record: how far a source has been published, and of which table that is said.
//!
//! Its bytes: a version (1), then in LEB128 the system identifier, timeline, database oid; the epoch's 16 bytes; the watermark, how
//! far the head lies above it, the number of gap runs, and per run its distance from the end of the one before and its length less one.

use thiserror::Error;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::core::position::Position;

const VERSION: u8 = 1;

/// Which life of which table a progress record speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The database cluster's system identifier.
    pub(crate) system: u64,
    /// Its timeline, which changes with a promotion and a restore.
    pub(crate) timeline: u32,
    /// The database's oid.
    pub(crate) database: u32,
    /// The uuid that `init` wrote.
    pub(crate) epoch: Uuid,
}

/// How far a source has been published and acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The table it speaks of.
    pub(crate) identity: Identity,
    /// Every number up to its head but its gaps is published or given up.
    pub(crate) position: Position,
}

/// Why a progress record cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A newer relay has written it.
    #[error("version {0} is not known to this relay")]
    Version(u8),
    /// It is not a progress record, or a damaged one.
    #[error("it is cut short or damaged")]
    Damaged,
}

/// Why a source must not go on by itself.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Discontinuity {
    /// The progress was made on another table.
    #[error(
        "the progress record of this source belongs to another table (system {}, timeline {}, database {}, epoch {}; \
         connected to system {}, timeline {}, database {}, epoch {}): the database was restored, failed over or replaced, \
         or two sources share a name",
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
         committed rows were lost, or the sequence was set back"
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
         the topic was emptied, or the source renamed"
    )]
    ProgressMissing(Uuid),
}

/// Where a source starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing of this table has been published.
    First,
    /// The relay, or one before it, has come this far.
    From(Position),
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
    if recorded.position.head() > last_value {
        return Err(Discontinuity::AheadOfTable {
            recorded: recorded.position.head(),
            actual: last_value,
        });
    }
    Ok(Start::From(recorded.position))
}

impl Progress {
    /// The record's value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.identity.system);
        put(&mut bytes, u64::from(self.identity.timeline));
        put(&mut bytes, u64::from(self.identity.database));
        bytes.extend_from_slice(self.identity.epoch.as_bytes());
        let watermark = self.position.watermark();
        put(&mut bytes, watermark.unsigned_abs());
        put(&mut bytes, self.position.head().abs_diff(watermark));
        put(&mut bytes, self.position.gaps().len() as u64);
        let mut end = watermark;
        for run in self.position.gaps().iter() {
            put(&mut bytes, run.first.abs_diff(end));
            put(&mut bytes, run.last.abs_diff(run.first));
            end = run.last;
        }
        bytes
    }

    /// Reads a record's value.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = &mut bytes;
        match take_byte(bytes)? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let identity = Identity {
            system: take(bytes)?,
            timeline: take(bytes)?.try_into().map_err(|_| DecodeError::Damaged)?,
            database: take(bytes)?.try_into().map_err(|_| DecodeError::Damaged)?,
            epoch: take_uuid(bytes)?,
        };
        let watermark = add(0, take(bytes)?)?;
        let head = add(watermark, take(bytes)?)?;
        let mut gaps = Gaps::default();
        let mut end = watermark;
        for _ in 0..take(bytes)? {
            let first = add(end, take(bytes)?)?;
            let last = add(first, take(bytes)?)?;
            if first == end || last >= head {
                return Err(DecodeError::Damaged);
            }
            gaps.insert(Run { first, last });
            end = last;
        }
        if bytes.is_empty() {
            Ok(Self { identity, position: Position::new(head, gaps) })
        } else {
            Err(DecodeError::Damaged)
        }
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Damaged)
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8, DecodeError> {
    let (&first, rest) = bytes.split_first().ok_or(DecodeError::Damaged)?;
    *bytes = rest;
    Ok(first)
}

fn take_uuid(bytes: &mut &[u8]) -> Result<Uuid, DecodeError> {
    let (uuid, rest) = bytes.split_first_chunk::<16>().ok_or(DecodeError::Damaged)?;
    *bytes = rest;
    Ok(Uuid::from_bytes(*uuid))
}

fn add(base: i64, distance: u64) -> Result<i64, DecodeError> {
    base.checked_add_unsigned(distance).ok_or(DecodeError::Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(epoch: u128) -> Identity {
        Identity { system: u64::MAX, timeline: 3, database: 16_384, epoch: Uuid::from_u128(epoch) }
    }

    fn position(numbers: &[i64]) -> Position {
        let mut position = Position::default();
        for &number in numbers {
            position.take(number);
        }
        position
    }

    proptest! {
        #[test]
        fn a_progress_record_reads_back_as_it_was_written(
            numbers in prop::collection::vec(1_i64..1000, 0..100),
            epoch: u128,
        ) {
            let progress = Progress { identity: identity(epoch), position: position(&numbers) };
            prop_assert_eq!(Progress::decode(&progress.encode()), Ok(progress));
        }

        #[test]
        fn bytes_that_are_no_progress_record_are_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = Progress::decode(&bytes);
        }
    }

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
        let recorded = |epoch| Progress { identity: identity(epoch), position: position(&[1, 5]) };
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
            Ok(Start::From(position(&[1, 5])))
        );
    }
}
