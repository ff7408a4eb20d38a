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

use std::collections::BTreeMap;

use pgwire_replication::Lsn;
use thiserror::Error;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::core::ledger::Reached;
use crate::core::parked::{Parked, ParkedKey};
use crate::core::position::Position;

const VERSION: u8 = 3;

/// How many numbers share one record of gaps: 65 536.
const BUCKET_BITS: u32 = 16;

/// Under whose name records stand: `NUMBER-OWNER`. What one producer tells, it tells under its own, and the latest counts.
///
/// Records of two terms never make up one progress. Under one name, gaps written by a former leader that was thought dead, or by
/// a producer that was given up, could come between the gaps of its successor and the head that rests on them, and a row
/// would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Term {
    number: u64,
    /// Tells apart two that have begun from the same records.
    owner: Uuid,
}

/// What a record tells.
enum Kind<'a> {
    Head,
    Gaps(&'a str),
    Parked(&'a str),
}

/// The records of a source by their keys.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

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

impl Term {
    /// The term of `owner` after all that have left records of `source`.
    pub(crate) fn after(source: &str, records: &Records, owner: Uuid) -> Self {
        let numbers =
            records.keys().filter_map(|key| place(source, key)).map(|(term, _)| term.number);
        Self { number: numbers.max().map_or(1, |last| last.saturating_add(1)), owner }
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, owner) = text.split_once('-')?;
        Some(Self { number: number.parse().ok()?, owner: Uuid::try_parse(owner).ok()? })
    }

    fn head_key(self, source: &str) -> String {
        format!("{source}/{}-{}", self.number, self.owner.simple())
    }
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

/// What has to be written so that `before` becomes `after`, the records of one term, in the order in which it is to be written; no
/// value removes a record.
pub(crate) fn changes<'a>(
    source: &str,
    before: &'a Records,
    after: &'a Records,
) -> Vec<(&'a [u8], Option<&'a [u8]>)> {
    let written = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value))
        .map(|(key, value)| (key.as_slice(), Some(value.as_slice())));
    let removed =
        before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.as_slice(), None));
    let term = after.keys().find_map(|key| place(source, key)).map(|(term, _)| term);
    let mut changes: Vec<_> = written.chain(removed).collect();
    changes.sort_by_key(|(key, _)| rank(source, term, key));
    changes
}

/// What a record rests on is written before it: a number is neither open nor below the head unless it is published, given up or
/// parked. What former terms told is needed until this one has told all.
fn rank(source: &str, current: Option<Term>, key: &[u8]) -> u8 {
    match place(source, key).filter(|(term, _)| Some(*term) == current) {
        Some((_, Kind::Parked(_))) => 0,
        Some((_, Kind::Gaps(_))) => 1,
        Some((_, Kind::Head)) => 2,
        None => 3,
    }
}

/// Whose record of `source` this is, and what it tells.
fn place<'a>(source: &str, key: &'a [u8]) -> Option<(Term, Kind<'a>)> {
    let key = std::str::from_utf8(key).ok()?.strip_prefix(source)?.strip_prefix('/')?;
    let Some((term, rest)) = key.split_once('/') else {
        return Some((Term::parse(key)?, Kind::Head));
    };
    let kind = match rest.split_once('/')? {
        ("gaps", bucket) => Kind::Gaps(bucket),
        ("parked", place) => Kind::Parked(place),
        (_, _) => return None,
    };
    Some((Term::parse(term)?, kind))
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

    const TERM: Term = Term { number: 7, owner: Uuid::nil() };

    /// The key of a record of `main` in that term.
    fn key(kind: &str) -> Vec<u8> {
        format!("main/7-{}{kind}", Uuid::nil().simple()).into_bytes()
    }

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

    fn progress(numbers: &[i64], parked: &[(String, i64)]) -> Progress {
        let mut keys = Parked::default();
        for (key, first) in parked {
            let parked = ParkedKey {
                first: *first,
                event_id: Uuid::from_u128(7),
                since_ms: 1_700_000_000_000,
                topic_is_missing: key.is_empty(),
                reason: "the record is too large".to_owned(),
            };
            keys.park("store.orders", key, parked);
        }
        let reached = Reached { position: position(numbers), parked: keys };
        Progress { identity: identity(1), reached }
    }

    type Change = (Vec<u8>, Option<Vec<u8>>);

    /// What a producer writes that goes on from `before` and takes one number after another. Answers what it has taken in the end, too.
    fn told(before: &Records, numbers: &[i64], owner: u128) -> (Vec<Change>, Position) {
        let term = Term::after("main", before, Uuid::from_u128(owner));
        let read = Progress::decode("main", before).unwrap();
        let mut progress = read.unwrap_or_else(|| progress(&[], &[]));
        let (mut before, mut told) = (before.clone(), Vec::new());
        for &number in numbers {
            progress.reached.position.take(number);
            let after = progress.encode("main", term);
            let changed = changes("main", &before, &after);
            told.extend(
                changed.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))),
            );
            before = after;
        }
        (told, progress.reached.position)
    }

    fn apply(records: &mut Records, (key, value): &Change) {
        match value {
            Some(value) => records.insert(key.clone(), value.clone()),
            None => records.remove(key),
        };
    }

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
        fn writing_the_changes_makes_the_old_records_the_new_ones(
            before in prop::collection::vec(1_i64..300_000, 0..60),
            after in prop::collection::vec(1_i64..300_000, 0..60),
        ) {
            let (before, after) = (progress(&before, &[]), progress(&after, &[("a".to_owned(), 3)]));
            let (mut records, after) = (before.encode("main", TERM), after.encode("main", TERM));
            let old = records.clone();
            for (key, value) in changes("main", &old, &after) {
                match value {
                    Some(value) => records.insert(key.to_vec(), value.to_vec()),
                    None => records.remove(key),
                };
            }
            prop_assert_eq!(records, after);
        }

        #[test]
        fn however_late_a_former_producers_records_come_nothing_is_passed_that_neither_has_taken(
            first in prop::collection::vec(1_i64..12, 1..5),
            second in prop::collection::vec(1_i64..12, 1..5),
            known in any::<prop::sample::Index>(),
            order in prop::collection::vec(any::<bool>(), 40),
        ) {
            let (former, former_position) = told(&Records::new(), &first, 1);
            // The successor goes on from what had come by then; the rest comes at any time.
            let (come, mut late) = former.split_at(known.index(former.len() + 1));
            let mut records = Records::new();
            come.iter().for_each(|change| apply(&mut records, change));
            let (successor, position) = told(&records, &second, 2);
            let mut next = &successor[..];
            for late_comes in order {
                let from = if late_comes { &mut late } else { &mut next };
                let Some((change, rest)) = from.split_first() else { continue };
                apply(&mut records, change);
                *from = rest;
                let Some(read) = Progress::decode("main", &records).unwrap() else { continue };
                for number in 1..12 {
                    let taken = former_position.is_done(number) || position.is_done(number);
                    let passed = read.reached.position.is_done(number);
                    prop_assert!(taken || !passed, "{number} is passed: {records:?}");
                }
            }
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
    fn a_record_is_written_after_what_it_rests_on() {
        let (before, after) = (progress(&[1, 5], &[]), progress(&[1, 9], &[("a".to_owned(), 8)]));
        let (before, after) = (before.encode("main", TERM), after.encode("main", TERM));
        let changed = changes("main", &before, &after);
        let keys: Vec<&[u8]> = changed.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [key("/parked/store.orders/a"), key("/gaps/0"), key("")]);
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
