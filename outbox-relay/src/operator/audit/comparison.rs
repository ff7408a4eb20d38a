//! The rows of the table held against the records of the topics: what is missing, repeated, unknown or out of order.
//!
//! Memory: 24 bytes a row and two bits, twice that while rows are added; about 40 bytes for each key that stands on a topic, which
//! is kept as a hash of 64 bits; and the first [`SHOWN`] findings of each kind.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use serde::Serialize;
use uuid::Uuid;

use crate::operator::output::as_optional_text;

/// How many findings of a kind are told one by one.
pub(crate) const SHOWN: usize = 20;

/// By how much writers' clocks and the order of their inserts may differ.
const SKEW_MS: i64 = 60_000;

/// Findings of one kind: how many, and the first of them.
#[derive(Debug, Serialize)]
pub(crate) struct Found<T> {
    /// How many there are.
    pub(crate) count: u64,
    /// The first [`SHOWN`] of them.
    pub(crate) first: Vec<T>,
}

/// Where a record stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// Its event, if it says which.
    #[serde(serialize_with = "as_optional_text")]
    pub(crate) event_id: Option<Uuid>,
    /// The topic.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: i32,
    /// The offset.
    pub(crate) offset: i64,
}

/// A record that stands behind a later one of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Late {
    /// The number of its row.
    pub(crate) number: i64,
    /// The larger number that stands before it.
    pub(crate) behind: i64,
    /// Where it stands.
    pub(crate) place: Place,
}

/// Why a record was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// By the relay in its course, or by a writer of its own.
    Ordinarily,
    /// By a repair, which was late.
    ByRepair,
    /// Once more on purpose, by a replay.
    ByReplay,
    /// Once more on purpose, out of a dead-letter topic.
    ByRedrive,
}

/// A record as it is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: &'a [u8],
    pub(crate) timestamp_ms: i64,
    pub(crate) event_id: Option<Uuid>,
    /// Header `ce_source`.
    pub(crate) source: &'a str,
    pub(crate) sent: Sent,
}

/// The rows, before anything is compared with them.
#[derive(Debug, Default)]
pub(crate) struct RowSet {
    rows: Vec<Row>,
    sources: BTreeSet<String>,
    /// When the row of the smallest number was created, in milliseconds since 1970.
    oldest_ms: Option<(i64, i64)>,
}

/// A row by its id and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    id: [u8; 16],
    number: i64,
}

/// What the comparison has come to.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Sorted by id.
    rows: Vec<Row>,
    /// Whether a row's own record was seen.
    seen: Bits,
    /// Whether it was seen again by a replay or a redrive.
    again: Bits,
    /// The largest number seen of each topic and key, by their hash.
    last: HashMap<u64, i64>,
    hasher: RandomState,
    sources: BTreeSet<String>,
    /// The rows of records older than this may have gone with a dropped partition.
    rows_since_ms: i64,
    /// Records that are the first of their rows.
    pub(crate) matched: u64,
    /// Records that a repair has sent.
    pub(crate) repaired: u64,
    /// Records sent again by a replay.
    pub(crate) replayed: u64,
    /// Records sent again out of a dead-letter topic.
    pub(crate) redriven: u64,
    /// Records of other writers.
    pub(crate) of_others: u64,
    /// Records whose rows may have gone with a dropped partition.
    pub(crate) older: u64,
    /// Records that stand once more.
    pub(crate) repeats: Found<Place>,
    /// Records without a row.
    pub(crate) without_row: Found<Place>,
    /// Records behind later ones of their key.
    pub(crate) late: Found<Late>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<T> Found<T> {
    /// Counts one.
    pub(crate) fn add(&mut self, one: T) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(one);
        }
    }
}

impl Record<'_> {
    fn place(&self) -> Place {
        Place {
            event_id: self.event_id,
            topic: self.topic.to_owned(),
            partition: self.partition,
            offset: self.offset,
        }
    }
}

impl RowSet {
    /// Adds a row.
    pub(crate) fn add(&mut self, number: i64, id: Uuid, source: &str, created_at_ms: i64) {
        self.rows.push(Row { id: id.into_bytes(), number });
        if !self.sources.contains(source) {
            self.sources.insert(source.to_owned());
        }
        if self.oldest_ms.is_none_or(|(oldest, _)| number < oldest) {
            self.oldest_ms = Some((number, created_at_ms));
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Begins to compare. `complete`: no row of this table was ever dropped.
    pub(crate) fn compare(mut self, complete: bool) -> Comparison {
        self.rows.sort_unstable();
        let rows_since_ms = match self.oldest_ms {
            _ if complete => i64::MIN,
            Some((_, created_at_ms)) => created_at_ms.saturating_add(SKEW_MS),
            None => i64::MAX,
        };
        Comparison {
            seen: Bits::new(self.rows.len()),
            again: Bits::new(self.rows.len()),
            rows: self.rows,
            last: HashMap::new(),
            hasher: RandomState::new(),
            sources: self.sources,
            rows_since_ms,
            matched: 0,
            repaired: 0,
            replayed: 0,
            redriven: 0,
            of_others: 0,
            older: 0,
            repeats: Found::default(),
            without_row: Found::default(),
            late: Found::default(),
        }
    }
}

impl Comparison {
    /// Takes the next record of its partition.
    pub(crate) fn take(&mut self, record: &Record<'_>) {
        let found = record.event_id.map_or(0..0, |id| self.find(id));
        match record.sent {
            Sent::ByReplay => {
                self.replayed += 1;
                found.for_each(|row| self.again.set(row));
            }
            Sent::ByRedrive => {
                self.redriven += 1;
                found.for_each(|row| self.again.set(row));
            }
            Sent::ByRepair | Sent::Ordinarily if found.is_empty() => self.take_unknown(record),
            Sent::ByRepair | Sent::Ordinarily => {
                let mut rows = found;
                match rows.find(|row| !self.seen.get(*row)) {
                    Some(row) => self.take_first(record, row),
                    None => self.repeats.add(record.place()),
                }
            }
        }
    }

    /// The numbers of the rows that no record is of, ascending.
    pub(crate) fn unseen(&self) -> Vec<i64> {
        let unseen = |index: &usize| !self.seen.get(*index) && !self.again.get(*index);
        let mut numbers: Vec<i64> =
            (0..self.rows.len()).filter(unseen).map(|index| self.rows[index].number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether a later record of the key stands on the topic.
    pub(crate) fn is_overtaken(&self, topic: &str, key: &[u8], number: i64) -> bool {
        self.last.get(&self.hasher.hash_one((topic, key))).is_some_and(|last| *last > number)
    }

    fn take_first(&mut self, record: &Record<'_>, row: usize) {
        self.seen.set(row);
        self.matched += 1;
        let number = self.rows[row].number;
        let hash = self.hasher.hash_one((record.topic, record.key));
        let last = self.last.entry(hash).or_insert(number);
        if record.sent == Sent::ByRepair {
            self.repaired += 1;
        } else if number < *last {
            self.late.add(Late { number, behind: *last, place: record.place() });
        }
        *last = number.max(*last);
    }

    fn take_unknown(&mut self, record: &Record<'_>) {
        if !self.sources.contains(record.source) {
            self.of_others += 1;
        } else if record.timestamp_ms < self.rows_since_ms {
            self.older += 1;
        } else {
            self.without_row.add(record.place());
        }
    }

    /// The rows of this id: one, unless a writer has used it twice.
    fn find(&self, id: Uuid) -> Range<usize> {
        let id = id.into_bytes();
        let start = self.rows.partition_point(|row| row.id < id);
        let same = self.rows[start..].iter().take_while(|row| row.id == id).count();
        start..start + same
    }
}

/// A set of small numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn get(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn set(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "/shop";
    const _: () = assert!(size_of::<Row>() == 24, "as the module's documentation says");

    fn id(number: i64) -> Uuid {
        // Not in the order of the numbers.
        Uuid::from_u64_pair(number.cast_unsigned().reverse_bits(), 7)
    }

    fn key(number: i64) -> Vec<u8> {
        vec![(number % 3) as u8]
    }

    fn record(number: i64, offset: i64, key: &[u8]) -> Record<'_> {
        Record {
            topic: "orders",
            partition: 0,
            offset,
            key,
            timestamp_ms: number,
            event_id: Some(id(number)),
            source: SOURCE,
            sent: Sent::Ordinarily,
        }
    }

    fn rows(numbers: impl IntoIterator<Item = i64>) -> RowSet {
        let mut rows = RowSet::default();
        for number in numbers {
            rows.add(number, id(number), SOURCE, number);
        }
        rows
    }

    proptest! {
        #[test]
        fn the_comparison_finds_what_a_plain_look_finds(
            numbers in prop::collection::btree_set(0_i64..200, 0..60),
            records in prop::collection::vec(0_i64..200, 0..80),
        ) {
            let mut comparison = rows(numbers.iter().copied()).compare(true);
            for (offset, number) in (0..).zip(&records) {
                comparison.take(&record(*number, offset, &key(*number)));
            }
            let missing: Vec<i64> =
                numbers.iter().copied().filter(|number| !records.contains(number)).collect();
            prop_assert_eq!(comparison.unseen(), missing);
            let (mut firsts, mut repeats, mut unknown) = (Vec::new(), 0, 0);
            for number in &records {
                if !numbers.contains(number) {
                    unknown += 1;
                } else if firsts.contains(number) {
                    repeats += 1;
                } else {
                    firsts.push(*number);
                }
            }
            let late = (0..firsts.len()).filter(|&at| {
                firsts[..at].iter().any(|before| before % 3 == firsts[at] % 3 && *before > firsts[at])
            });
            prop_assert_eq!(comparison.late.count, late.count() as u64);
            prop_assert_eq!(comparison.repeats.count, repeats);
            prop_assert_eq!(comparison.of_others + comparison.without_row.count, unknown);
            prop_assert_eq!(comparison.matched, firsts.len() as u64);
        }
    }

    #[test]
    fn what_was_sent_again_on_purpose_is_no_repeat_but_proves_that_the_row_arrived() {
        let mut comparison = rows(1..=3).compare(true);
        comparison.take(&record(1, 0, b"a"));
        comparison.take(&Record { sent: Sent::ByReplay, ..record(1, 1, b"a") });
        comparison.take(&Record { sent: Sent::ByRedrive, ..record(2, 2, b"a") });
        assert_eq!((comparison.replayed, comparison.redriven, comparison.repeats.count), (1, 1, 0));
        assert_eq!(comparison.unseen(), [3]);
    }

    #[test]
    fn a_repair_that_came_late_is_told_as_a_repair() {
        let mut comparison = rows(1..=2).compare(true);
        comparison.take(&record(2, 0, b"a"));
        assert!(comparison.is_overtaken("orders", b"a", 1));
        assert!(!comparison.is_overtaken("orders", b"b", 1));
        comparison.take(&Record { sent: Sent::ByRepair, ..record(1, 1, b"a") });
        assert_eq!((comparison.repaired, comparison.late.count), (1, 0));
        assert!(comparison.unseen().is_empty());
    }

    #[test]
    fn a_record_without_a_row_is_excused_if_its_partition_may_have_been_dropped() {
        for (complete, without_row, older) in [(true, 2, 0), (false, 1, 1)] {
            let mut comparison = rows(10..=12).compare(complete);
            comparison.take(&record(5, 0, b"a"));
            comparison.take(&Record { timestamp_ms: 10 + SKEW_MS, ..record(13, 1, b"a") });
            comparison.take(&Record { source: "/elsewhere", ..record(14, 2, b"a") });
            assert_eq!(comparison.without_row.count, without_row);
            assert_eq!((comparison.older, comparison.of_others), (older, 1));
        }
    }

    #[test]
    fn an_id_that_two_rows_share_is_wanted_twice() {
        let mut rows = rows([1]);
        rows.add(2, id(1), SOURCE, 2);
        let mut comparison = rows.compare(true);
        comparison.take(&record(1, 0, b"a"));
        assert_eq!(comparison.unseen(), [2]);
        comparison.take(&record(1, 1, b"a"));
        comparison.take(&record(1, 2, b"a"));
        assert_eq!((comparison.unseen(), comparison.repeats.count), (Vec::new(), 1));
    }
}
