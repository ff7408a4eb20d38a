//! The invariants of the whole system: their numbers, their promises and their functions.

use std::fmt;

use crate::audit::{Evidence, Findings};

/// The function of an invariant: pure, over all that is known.
pub type Check = fn(&Evidence<'_>) -> Findings;

/// All invariants of the whole system in the order of their numbers, a row each: what it promises, in a few words, and its
/// function.
pub const ALL: &[(Invariant, &str, Check)] = &[
    (Invariant(1), "every committed event is on Kafka", super::nothing_lost::check),
    (Invariant(2), "nothing is on Kafka that was not committed", super::nothing_invented::check),
    (
        Invariant(3),
        "events of a key stand in the order of their commits",
        super::order_per_key::check,
    ),
    (Invariant(4), "every event has its effect exactly once", super::effects_once::check),
    (
        Invariant(5),
        "every order has ended for a reason, and its saga was completed once",
        super::orders_end::check,
    ),
    (Invariant(6), "stock adds up", super::stock_adds_up::check),
    (Invariant(7), "payments and charges are single and right", super::payments_agree::check),
    (Invariant(8), "nothing is parked", super::nothing_parked::check),
    (Invariant(9), "what callers were told holds", super::answers_hold::check),
];

/// An invariant of the whole system: the number that it has for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invariant(pub u8);

impl Invariant {
    /// What it promises, in a few words; nothing if there is none of the number.
    #[must_use]
    pub fn promise(self) -> &'static str {
        let row = ALL.iter().find(|(invariant, ..)| *invariant == self);
        row.map_or("", |(_, promise, _)| promise)
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "I-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice_or_left_out() {
        for ((invariant, ..), number) in ALL.iter().zip(1..) {
            assert_eq!(invariant.0, number);
        }
    }
}
