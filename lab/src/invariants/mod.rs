//! What must hold whatever was killed: one file and one function for each invariant, each answering what breaks it. They know
//! nothing of databases and brokers: who calls them brings the rows and the records.
//!
//! A further one is a file with a `check`, and a row of [`ALL`].

mod answers_hold;
mod effects_once;
mod list;
mod nothing_invented;
mod nothing_lost;
mod nothing_parked;
mod nothing_twice;
mod order_per_key;
mod orders_end;
mod payments_agree;
mod stock_adds_up;

#[cfg(test)]
mod breaking;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod good;

use std::fmt;

use uuid::Uuid;

use crate::audit;

pub use list::{ALL, Check, Invariant};
pub use nothing_invented::nothing_invented;
pub use nothing_lost::nothing_lost;
pub use nothing_twice::nothing_twice;
pub use order_per_key::order_per_key;

/// An event where it belongs: a committed row of the outbox, or a record on Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's id: header `ce_id`.
    pub id: Uuid,
    /// The topic: `aggregatetype` of a row.
    pub topic: String,
    /// The record's key: `aggregateid` of a row.
    pub key: String,
    /// The record's partition; a row has none.
    pub partition: Option<i32>,
}

/// How an invariant is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A committed row is not on Kafka (I-1).
    Lost(Event),
    /// A record has no committed row, or stands on another topic or under another key than its row says (I-2).
    Invented(Event),
    /// A record stands before one of its key that was committed earlier (I-3).
    Overtook {
        /// What stands too early.
        event: Event,
        /// The earliest of its key that has not come before it.
        unseen: Uuid,
    },
    /// A record stands in another partition than those of its key before it: nobody reads them in an order (I-3).
    Spread {
        /// What stands elsewhere.
        event: Event,
        /// Where the first of its key stands.
        first: i32,
    },
    /// An event stands on Kafka more than once.
    Repeated {
        /// Which.
        event: Event,
        /// How often.
        times: usize,
    },
}

/// I-1 to I-3, which hold always. `committed` are the rows of each topic and key in the order of their commits, `records` those
/// of each partition in the order of their offsets.
#[must_use]
pub fn at_least_once(committed: &[Event], records: &[Event]) -> Vec<Violation> {
    let mut violations = nothing_lost(committed, records);
    violations.extend(nothing_invented(committed, records));
    violations.extend(order_per_key(committed, records));
    violations
}

/// I-1 to I-3, and that nothing comes twice. Records that an operator has replayed are to be left out.
#[must_use]
pub fn exactly_once(committed: &[Event], records: &[Event]) -> Vec<Violation> {
    let mut violations = at_least_once(committed, records);
    violations.extend(nothing_twice(records));
    violations
}

impl Violation {
    /// The invariant that it breaks; that nothing comes twice has no number of its own.
    fn invariant(&self) -> Option<Invariant> {
        match self {
            Self::Lost(_) => Some(Invariant(1)),
            Self::Invented(_) => Some(Invariant(2)),
            Self::Overtook { .. } | Self::Spread { .. } => Some(Invariant(3)),
            Self::Repeated { .. } => None,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Lost(event) => format!("{event} is committed and not on Kafka"),
            Self::Invented(event) => format!("{event} has no committed row"),
            Self::Overtook { event, unseen } => {
                format!("{event} stands before event {unseen}, which was committed earlier")
            }
            Self::Spread { event, first } => {
                let partition = event.partition.unwrap_or_default();
                format!("{event} stands in partition {partition}, and others of its key in {first}")
            }
            Self::Repeated { event, times } => format!("{event} stands on Kafka {times} times"),
        }
    }

    /// The same in the auditor's words, with the order that the event is about.
    fn told(&self, snapshot: &audit::Snapshot) -> audit::Violation {
        let (Self::Lost(event)
        | Self::Invented(event)
        | Self::Overtook { event, .. }
        | Self::Spread { event, .. }
        | Self::Repeated { event, .. }) = self;
        audit::Violation::new(snapshot.order_of(event.id), self.sentence())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of key {} on topic {}", self.id, self.key, self.topic)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.invariant() {
            Some(invariant) => write!(f, "{invariant}: {}", self.sentence()),
            None => f.write_str(&self.sentence()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of two keys: the number's last digit tells which.
    pub(super) fn events(numbers: &[u128]) -> Vec<Event> {
        let event = |&number: &u128| Event {
            id: Uuid::from_u128(number),
            topic: "orders".to_owned(),
            key: (number % 2).to_string(),
            partition: None,
        };
        numbers.iter().map(event).collect()
    }

    #[test]
    fn what_is_as_it_should_be_breaks_nothing() {
        let committed = events(&[1, 2, 3, 4]);
        assert_eq!(exactly_once(&committed, &events(&[2, 4, 1, 3])), []);
        assert_eq!(at_least_once(&[], &[]), []);
    }

    #[test]
    fn repeats_are_accepted_where_they_may_be() {
        let (committed, records) = (events(&[1, 3, 5]), events(&[1, 3, 1, 3, 5, 3]));
        assert_eq!(at_least_once(&committed, &records), []);
        let found = exactly_once(&committed, &records);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_violation_names_the_event() {
        let lost = &at_least_once(&events(&[1]), &[])[0];
        let expected = "I-1: event 00000000-0000-0000-0000-000000000001 of key 1 on topic orders is committed and not on Kafka";
        assert_eq!(lost.to_string(), expected);
    }
}
