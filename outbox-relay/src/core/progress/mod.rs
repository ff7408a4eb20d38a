//! The progress of a source: how far it has been published, which keys wait, and of which table that is said.
//!
//! It is kept as several records, so that only what has changed is written again. Each producer writes under a [`Term`] of its own.
//! The keys and values, numbers in LEB128:
//!
//! - `NAME/TERM`: a version (3), the system identifier, timeline, database oid, the epoch's 16 bytes, the head, which is no gap (what was
//!   skipped lies above it), and if the WAL was followed, the point up to which.
//! - `NAME/TERM/gaps/BUCKET`: the open runs that begin in that bucket of numbers; per run its distance from the end of the one before and
//!   its length less one.
//! - `NAME/TERM/parked/TOPIC/KEY`: the first number, the event's 16 bytes, milliseconds since 1970, whether it is for want of the topic,
//!   and the reason.
//!
//! What has changed is written in this order: parked keys, gaps, the head. Until the last of them is, the first may tell of more than
//! it: gaps above the head are not there yet, and what is parked above it, or in a gap, will be met again. Then the records of former
//! terms are removed.

mod leb128;
#[cfg(test)]
mod samples;
mod start;
mod term;

use std::collections::BTreeMap;

use pgwire_replication::Lsn;
use thiserror::Error;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::core::ledger::Reached;
use crate::core::parked::{Parked, ParkedKey};
use crate::core::position::Position;
use crate::core::progress::leb128::{add, put, take, take_byte, take_uuid};
pub(crate) use crate::core::progress::start::{Discontinuity, Start, start};
use crate::core::progress::term::{Kind, place};
pub(crate) use crate::core::progress::term::{Records, Term, changes};

const VERSION: u8 = 3;

/// How many numbers share one record of gaps: 65 536.
const BUCKET_BITS: u32 = 16;

/// Which life of which table a progress record speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Every number up to its head but its gaps is published, given up, or waits because its key is parked.
    pub(crate) reached: Reached,
}

/// Why a progress record cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Another release of the relay has written it.
    #[error("it is of version {0}, which this release of the relay does not read")]
    Version(u8),
    /// It is not a progress record, or a damaged one.
    #[error("it is cut short or damaged")]
    Damaged,
}

impl Progress {
    /// The records that tell the progress of `source` in `term`.
    pub(crate) fn encode(&self, source: &str, term: Term) -> Records {
        let head_key = term.head_key(source);
        let mut records = Records::new();
        let mut ends = BTreeMap::new();
        let position = &self.reached.position;
        for run in position.gaps().iter().filter(|run| run.last <= position.highest()) {
            let bucket = run.first >> BUCKET_BITS;
            let end = ends.entry(bucket).or_insert(bucket << BUCKET_BITS);
            let bytes =
                records.entry(format!("{head_key}/gaps/{bucket}").into_bytes()).or_default();
            put(bytes, run.first.abs_diff(*end));
            put(bytes, run.last.abs_diff(run.first));
            *end = run.last;
        }
        for (topic, key, parked) in self.reached.parked.iter() {
            let place = format!("{head_key}/parked/{topic}/{key}");
            records.insert(place.into_bytes(), encode_parked(parked));
        }
        records.insert(head_key.into_bytes(), self.encode_head());
        records
    }

    fn encode_head(&self) -> Vec<u8> {
        let mut head = vec![VERSION];
        put(&mut head, self.identity.system);
        put(&mut head, u64::from(self.identity.timeline));
        put(&mut head, u64::from(self.identity.database));
        head.extend_from_slice(self.identity.epoch.as_bytes());
        let position = &self.reached.position;
        put(&mut head, position.highest().unsigned_abs());
        if let Some(lsn) = position.passed() {
            put(&mut head, lsn.0);
        }
        head
    }

    /// The progress that the latest records of `source` tell, if there are any; those of other sources are passed over.
    pub(crate) fn decode(source: &str, records: &Records) -> Result<Option<Self>, DecodeError> {
        if let Some(older) = records.get(source.as_bytes()) {
            // Before there were terms, the head stood there.
            return Err(DecodeError::Version(older.first().copied().unwrap_or_default()));
        }
        let mut latest = None;
        for (key, value) in records {
            if let Some((term, Kind::Head)) = place(source, key) {
                let (identity, head, passed) = decode_head(value)?;
                // Of two that began from the same records, either may be gone on from; the farther one repeats less.
                latest = latest.max(Some((term.number, head, term.owner, passed, identity)));
            }
        }
        let Some((number, head, owner, passed, identity)) = latest else { return Ok(None) };
        let (mut gaps, mut parked) = (Gaps::default(), Parked::default());
        for (key, value) in records {
            match place(source, key).filter(|(term, _)| *term == Term { number, owner }) {
                Some((_, Kind::Gaps(bucket))) => decode_gaps(bucket, value, head, &mut gaps)?,
                Some((_, Kind::Parked(place))) => {
                    let (topic, key) = place.split_once('/').ok_or(DecodeError::Damaged)?;
                    parked.park(topic, key, decode_parked(value)?);
                }
                Some((_, Kind::Head)) | None => {}
            }
        }
        let mut position = Position::new(head, gaps);
        if let Some(lsn) = passed {
            position.pass(lsn);
        }
        Ok(Some(Self { identity, reached: Reached { position, parked } }))
    }
}

fn decode_head(mut bytes: &[u8]) -> Result<(Identity, i64, Option<Lsn>), DecodeError> {
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
    let head = add(0, take(bytes)?)?;
    let passed = if bytes.is_empty() { None } else { Some(Lsn(take(bytes)?)) };
    if bytes.is_empty() { Ok((identity, head, passed)) } else { Err(DecodeError::Damaged) }
}

/// Adds the runs of one bucket, as far as they lie below `head`.
fn decode_gaps(
    bucket: &str,
    mut bytes: &[u8],
    head: i64,
    gaps: &mut Gaps,
) -> Result<(), DecodeError> {
    let bucket: i64 = bucket.parse().map_err(|_| DecodeError::Damaged)?;
    let mut end = bucket.checked_mul(1 << BUCKET_BITS).ok_or(DecodeError::Damaged)?;
    let bytes = &mut bytes;
    while !bytes.is_empty() {
        let first = add(end, take(bytes)?)?;
        let last = add(first, take(bytes)?)?;
        end = last;
        if first < head {
            gaps.insert(Run { first, last: last.min(head - 1) });
        }
    }
    Ok(())
}

fn encode_parked(parked: &ParkedKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, parked.first.unsigned_abs());
    bytes.extend_from_slice(parked.event_id.as_bytes());
    put(&mut bytes, parked.since_ms.unsigned_abs());
    bytes.push(u8::from(parked.topic_is_missing));
    bytes.extend_from_slice(parked.reason.as_bytes());
    bytes
}

fn decode_parked(mut bytes: &[u8]) -> Result<ParkedKey, DecodeError> {
    let bytes = &mut bytes;
    Ok(ParkedKey {
        first: add(0, take(bytes)?)?,
        event_id: take_uuid(bytes)?,
        since_ms: add(0, take(bytes)?)?,
        topic_is_missing: take_byte(bytes)? != 0,
        reason: String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::Damaged)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::samples::{TERM, key, progress};
    use super::*;

    proptest! {
        #[test]
        fn progress_reads_back_as_it_was_written(
            numbers in prop::collection::vec(1_i64..300_000, 0..60),
            parked in prop::collection::vec((".{0,6}", 1_i64..1_000), 0..4),
            passed in prop::option::of(any::<u64>()),
            skipped in 0_i64..400_000,
        ) {
            let mut progress = progress(&numbers, &parked);
            if let Some(lsn) = passed {
                progress.reached.position.pass(Lsn(lsn));
            }
            // What is skipped above is met again.
            let mut ahead = progress.clone();
            ahead.reached.position.skip_to(skipped);
            let mut records = ahead.encode("main", TERM);
            records.extend(self::progress(&[5], &[]).encode("main-2", TERM));
            prop_assert_eq!(Progress::decode("main", &records), Ok(Some(progress)));
        }

        #[test]
        fn bytes_that_are_no_progress_are_refused_without_a_panic(
            head in prop::collection::vec(any::<u8>(), 0..60),
            gaps in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut records = progress(&[9], &[]).encode("main", TERM);
            records.insert(key("/gaps/0"), gaps.clone());
            records.insert(key("/parked/a/b"), gaps);
            let _ = Progress::decode("main", &records);
            records.insert(key(""), head.clone());
            let _ = Progress::decode("main", &records);
            records.insert(b"main".to_vec(), head);
            let _ = Progress::decode("main", &records);
        }
    }

    #[test]
    fn gaps_that_were_written_before_their_head_are_not_there_yet() {
        let mut records = progress(&[1, 9], &[]).encode("main", TERM);
        records.extend([(key(""), progress(&[4], &[]).encode_head())]);
        let read = Progress::decode("main", &records).unwrap().unwrap();
        assert_eq!((read.reached.position.head(), read.reached.position.watermark()), (4, 1));
    }

    #[test]
    fn a_head_from_before_there_were_terms_is_of_another_version() {
        let records = Records::from([(b"main".to_vec(), vec![2, 1, 1])]);
        assert_eq!(Progress::decode("main", &records), Err(DecodeError::Version(2)));
    }
}
