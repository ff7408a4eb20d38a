//! I-3: records of one key on one topic stand in one partition, in the order of their commits. Repeats are allowed, but never past
//! one not seen.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Event, Violation, nothing_twice};
use crate::{
    audit::{Evidence, Findings, Record, Row},
    campaign::Delivery,
};

/// I-3 over what the relay has published in its course; exactly once, also that nothing stands twice. The rows of a key are
/// numbered in the order of their commits, since whoever writes one holds the lock of its key.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let committed: Vec<_> = snapshot.outbox.iter().map(Row::event).collect();
    let records: Vec<_> = snapshot.relayed().map(Record::event).collect();
    let mut found = order_per_key(&committed, &records);
    match evidence.delivery {
        Delivery::AtLeastOnce => {}
        Delivery::ExactlyOnce => found.extend(nothing_twice(&records)),
    }
    let keys: HashSet<_> = committed.iter().map(|row| (&row.topic, &row.key)).collect();
    Findings {
        counted: vec![(keys.len(), "keys"), (records.len(), "records")],
        violations: found.iter().map(|found| found.told(snapshot)).collect(),
    }
}

/// The rows of one key in the order of their commits, and how far they have come without a hole.
#[derive(Default)]
struct Key {
    order: Vec<Uuid>,
    /// The place of each event in that order, with whether it has come.
    places: HashMap<Uuid, (usize, bool)>,
    /// How many of the first have come.
    whole: usize,
}

/// The records that stand before one of their key that was committed earlier, where of each event its first record counts; and
/// those that stand in another partition than the first of their key.
///
/// `committed` are the rows of each key in the order of their commits. Records without a row are no matter of order.
#[must_use]
pub fn order_per_key(committed: &[Event], records: &[Event]) -> Vec<Violation> {
    let mut keys: HashMap<(&str, &str), Key> = HashMap::new();
    for row in committed {
        keys.entry((&row.topic, &row.key)).or_default().push(row.id);
    }
    let overtook = records.iter().filter_map(|record| {
        let unseen = keys.get_mut(&(record.topic.as_str(), record.key.as_str()))?.see(record.id)?;
        Some(Violation::Overtook { event: record.clone(), unseen })
    });
    overtook.chain(spread(records)).collect()
}

fn spread(records: &[Event]) -> impl Iterator<Item = Violation> {
    let mut firsts: HashMap<(&str, &str), i32> = HashMap::new();
    records.iter().filter_map(move |record| {
        let partition = record.partition?;
        let first = *firsts.entry((&record.topic, &record.key)).or_insert(partition);
        (first != partition).then(|| Violation::Spread { event: record.clone(), first })
    })
}

impl Key {
    fn push(&mut self, id: Uuid) {
        self.places.insert(id, (self.order.len(), false));
        self.order.push(id);
    }

    /// Takes the next record in. If it is the first of its event, answers the earliest that should have come before.
    fn see(&mut self, id: Uuid) -> Option<Uuid> {
        let (place, seen) = self.places.get_mut(&id)?;
        let (place, seen) = (*place, std::mem::replace(seen, true));
        let unseen = *self.order.get(self.whole)?;
        while self.order.get(self.whole).is_some_and(|next| self.places[next].1) {
            self.whole += 1;
        }
        (!seen && place >= self.whole).then_some(unseen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;
    use super::*;

    fn overtook(event: u128, unseen: u128) -> Violation {
        Violation::Overtook { event: events(&[event]).remove(0), unseen: Uuid::from_u128(unseen) }
    }

    #[test]
    fn a_record_before_an_earlier_one_of_its_key_is_found() {
        let committed = events(&[1, 3, 5, 2]);
        assert_eq!(order_per_key(&committed, &events(&[1, 5, 2, 3])), [overtook(5, 3)]);
        assert_eq!(
            order_per_key(&committed, &events(&[3, 5, 1])),
            [overtook(3, 1), overtook(5, 1)]
        );
    }

    #[test]
    fn the_order_is_that_of_the_commits_and_not_of_ids() {
        assert_eq!(order_per_key(&events(&[5, 1, 3]), &events(&[5, 1, 3])), []);
    }

    #[test]
    fn keys_and_topics_have_no_order_between_them() {
        let mut committed = events(&[1, 3]);
        committed[1].topic = "stock".to_owned();
        let records: Vec<_> = committed.iter().rev().cloned().collect();
        assert_eq!(order_per_key(&committed, &records), []);
        assert_eq!(order_per_key(&events(&[1, 2]), &events(&[2, 1])), []);
    }

    #[test]
    fn a_repeat_is_accepted_only_where_all_before_it_has_come() {
        let committed = events(&[1, 3, 5]);
        assert_eq!(order_per_key(&committed, &events(&[1, 3, 1, 3, 5, 1])), []);
        assert_eq!(order_per_key(&committed, &events(&[1, 1, 5, 1, 3, 5])), [overtook(5, 3)]);
    }

    #[test]
    fn a_key_that_stands_in_two_partitions_is_found() {
        let committed = events(&[1, 3, 2]);
        let mut records = committed.clone();
        for (record, partition) in records.iter_mut().zip([4, 4, 0]) {
            record.partition = Some(partition);
        }
        assert_eq!(order_per_key(&committed, &records), []);
        records[1].partition = Some(5);
        let expected = [Violation::Spread { event: records[1].clone(), first: 4 }];
        assert_eq!(order_per_key(&committed, &records), expected);
    }

    #[test]
    fn what_follows_a_lost_one_has_overtaken_it() {
        assert_eq!(order_per_key(&events(&[1, 3, 5]), &events(&[1, 5])), [overtook(5, 3)]);
    }
}
