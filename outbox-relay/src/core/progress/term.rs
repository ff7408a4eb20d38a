//! Under whose name the records of a progress stand, and in which order they are written.

use std::collections::BTreeMap;

use uuid::Uuid;

/// Under whose name records stand: `NUMBER-OWNER`. What one producer tells, it tells under its own, and the latest counts.
///
/// Records of two terms never make up one progress. Under one name, gaps written by a former leader that was thought dead, or by
/// a producer that was given up, could come between the gaps of its successor and the head that rests on them, and a row
/// would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Term {
    pub(super) number: u64,
    /// Tells apart two that have begun from the same records.
    pub(super) owner: Uuid,
}

/// What a record tells.
pub(super) enum Kind<'a> {
    Head,
    Gaps(&'a str),
    Parked(&'a str),
}

/// The records of a source by their keys.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

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

    pub(super) fn head_key(self, source: &str) -> String {
        format!("{source}/{}-{}", self.number, self.owner.simple())
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
pub(super) fn place<'a>(source: &str, key: &'a [u8]) -> Option<(Term, Kind<'a>)> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::position::Position;
    use crate::core::progress::Progress;
    use crate::core::progress::samples::{TERM, key, progress};

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
    }

    #[test]
    fn a_record_is_written_after_what_it_rests_on() {
        let (before, after) = (progress(&[1, 5], &[]), progress(&[1, 9], &[("a".to_owned(), 8)]));
        let (before, after) = (before.encode("main", TERM), after.encode("main", TERM));
        let changed = changes("main", &before, &after);
        let keys: Vec<&[u8]> = changed.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [key("/parked/store.orders/a"), key("/gaps/0"), key("")]);
    }
}
