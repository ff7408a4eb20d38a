//! I-8: dead letters are empty unless somebody put something there.

use crate::audit::{Evidence, Findings, Record, Snapshot, Violation};

/// The dead letters that nobody caused on purpose.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let letters = snapshot.dead_letters.iter().filter(|letter| !snapshot.is_marked(letter));
    let violations = letters.map(|letter| parked(letter, snapshot)).collect();
    Findings { counted: vec![(snapshot.dead_letters.len(), "dead letters")], violations }
}

/// A key is a product's or a user's too, and what nobody can read does not say whose.
fn parked(letter: &Record, snapshot: &Snapshot) -> Violation {
    let header = |name| letter.header(name).unwrap_or("?");
    let Record { topic, offset, .. } = letter;
    let event =
        letter.event_id().map_or("an event without an id".to_owned(), |id| format!("event {id}"));
    let sentence = format!(
        "{event} of key {} on topic {} is parked at offset {offset} of {topic}: {}",
        letter.key,
        header("dlq-original-topic"),
        header("dlq-error"),
    );
    let key = letter.key.parse().ok();
    let order = snapshot.orders.iter().find(|order| Some(order.order_id) == key);
    Violation::new(order.map(|order| order.order_id), sentence)
}
