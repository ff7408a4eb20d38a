//! I-8: dead letters are empty unless somebody put something there.

use crate::audit::{Evidence, Findings, Record, Violation};

/// The dead letters that nobody caused on purpose.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let letters = snapshot.dead_letters.iter();
    let violations = letters.filter(|letter| !snapshot.is_marked(letter)).map(parked).collect();
    Findings { counted: vec![(snapshot.dead_letters.len(), "dead letters")], violations }
}

fn parked(letter: &Record) -> Violation {
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
    Violation::new(letter.key.parse().ok(), sentence)
}
