//! Progress for tests.

use uuid::Uuid;

use crate::core::ledger::Reached;
use crate::core::parked::{Parked, ParkedKey};
use crate::core::position::Position;
use crate::core::progress::{Identity, Progress, Term};

pub(super) const TERM: Term = Term { number: 7, owner: Uuid::nil() };

/// The key of a record of `main` in that term.
pub(super) fn key(kind: &str) -> Vec<u8> {
    format!("main/7-{}{kind}", Uuid::nil().simple()).into_bytes()
}

pub(super) fn identity(epoch: u128) -> Identity {
    Identity { system: u64::MAX, timeline: 3, database: 16_384, epoch: Uuid::from_u128(epoch) }
}

fn position(numbers: &[i64]) -> Position {
    let mut position = Position::default();
    for &number in numbers {
        position.take(number);
    }
    position
}

pub(super) fn progress(numbers: &[i64], parked: &[(String, i64)]) -> Progress {
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
