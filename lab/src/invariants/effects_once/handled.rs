//! Every event that a consumer reads is remembered by it, or parked; and it remembers none that it could not have read.

use std::collections::{HashMap, HashSet};

use crate::audit::{Owner, Record, Snapshot, Violation};

/// The events that are on Kafka and not remembered, and those that are remembered and not on Kafka, or twice.
pub(super) fn handled_once(snapshot: &Snapshot) -> Vec<Violation> {
    Owner::ALL.into_iter().flat_map(|reader| handled_once_by(reader, snapshot)).collect()
}

fn handled_once_by(reader: Owner, snapshot: &Snapshot) -> Vec<Violation> {
    let mut remembered: HashMap<_, usize> = HashMap::new();
    for handled in snapshot.inbox.iter().filter(|handled| handled.by == reader) {
        *remembered.entry(handled.event_id).or_default() += 1;
    }
    let parked: HashSet<_> =
        snapshot.dead_letters.iter().filter_map(|letter| original(reader, letter)).collect();
    let mut violations = Vec::new();
    let mut seen = HashSet::new();
    let read = snapshot.records.iter();
    for record in read.filter(|record| reader.reads().contains(&record.topic.as_str())) {
        let event_id = record.event_id();
        let is_new = event_id.is_none_or(|event_id| seen.insert(event_id));
        let is_handled = event_id.is_some_and(|event_id| remembered.contains_key(&event_id));
        if is_new && !is_handled && !parked.contains(&place(record)) {
            let says = "has neither handled nor parked";
            let sentence = format!("{} {says} {}", reader.name(), record.event());
            violations.push(Violation::new(record.order_id(), sentence));
        }
    }
    for (event_id, times) in remembered {
        let says = match (seen.contains(&event_id), times) {
            (true, 1) => continue,
            (true, _) => format!("has handled event {event_id} {times} times"),
            (false, _) => {
                format!("has handled event {event_id}, which is on no topic that it reads")
            }
        };
        violations.push(Violation::new(None, format!("{} {says}", reader.name())));
    }
    violations
}

/// Where a record stands.
fn place(record: &Record) -> (String, i32, i64) {
    (record.topic.clone(), record.partition, record.offset)
}

/// Where the record stands that a dead letter of `reader` is of.
fn original(reader: Owner, letter: &Record) -> Option<(String, i32, i64)> {
    letter.topic.strip_prefix(reader.name())?.strip_prefix('.')?;
    let topic = letter.header("dlq-original-topic")?.to_owned();
    let partition = letter.header("dlq-original-partition")?.parse().ok()?;
    Some((topic, partition, letter.header("dlq-original-offset")?.parse().ok()?))
}
