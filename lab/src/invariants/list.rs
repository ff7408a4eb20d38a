//! The invariants of the whole system: their numbers, their promises and their functions.

use std::fmt;

use super::{
    answers_hold, effects_once, nothing_invented, nothing_lost, nothing_parked, order_per_key,
    orders_end, payments_agree, stock_adds_up,
};
use crate::audit::{Evidence, Findings};

/// The function of an invariant: pure, over all that is known.
pub type Check = fn(&Evidence<'_>) -> Findings;

/// All invariants of the whole system, in the order of their numbers.
pub const ALL: [(Invariant, Check); 9] = [
    (Invariant::I1, nothing_lost::check),
    (Invariant::I2, nothing_invented::check),
    (Invariant::I3, order_per_key::check),
    (Invariant::I4, effects_once::check),
    (Invariant::I5, orders_end::check),
    (Invariant::I6, stock_adds_up::check),
    (Invariant::I7, payments_agree::check),
    (Invariant::I8, nothing_parked::check),
    (Invariant::I9, answers_hold::check),
];

/// An invariant of the whole system, by the number that it has for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every committed outbox row reaches Kafka.
    I1 = 1,
    /// No record on an event topic lacks a committed outbox row.
    I2,
    /// Records of one key on one topic stand in the order of their commits; exactly once, none stands twice.
    I3,
    /// A consumer commits the effect of an event exactly once.
    I4,
    /// Once nothing moves, every order has ended, and has exactly one SagaCompleted.
    I5,
    /// What is on hand and what orders hold is what there was at the start and what was added; never negative.
    I6,
    /// At most one live payment an order, none for a cancelled one, its amount the order's total; at most one charge a payment.
    I7,
    /// Dead letters are empty unless somebody put something there.
    I8,
    /// What a caller was told, holds.
    I9,
}

impl Invariant {
    /// What it promises, in a few words.
    #[must_use]
    pub fn promise(self) -> &'static str {
        match self {
            Self::I1 => "every committed event is on Kafka",
            Self::I2 => "nothing is on Kafka that was not committed",
            Self::I3 => "events of a key stand in the order of their commits",
            Self::I4 => "every event has its effect exactly once",
            Self::I5 => "every order has ended, and its saga was completed once",
            Self::I6 => "stock adds up",
            Self::I7 => "payments and charges are single and right",
            Self::I8 => "nothing is parked",
            Self::I9 => "what callers were told holds",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "I-{}", *self as u8)
    }
}
