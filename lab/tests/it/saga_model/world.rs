//! The state of the model.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use payments::domain::PaymentState;
use store_manager::domain::{order::OrderState, saga::Situation};

use super::{bounds::Bounds, event::Event};

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// Units of the product.
    pub(super) on_hand: i64,
    /// The orders; which is which makes no difference.
    pub(super) orders: Vec<Order>,
}

/// An order with all that is about it, in both services, between them and at the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Order {
    /// Its row; none before it is placed.
    pub(super) situation: Option<Situation>,
    /// How often SagaCompleted was announced.
    pub(super) sagas_completed: u8,
    /// Whether a cancel of the caller was answered with a yes, or with a perhaps.
    pub(super) cancel_asked: bool,
    /// Events that nobody has handled, in the order in which they were committed.
    pub(super) waiting: Vec<Event>,
    /// Events that were handled and may come again.
    pub(super) handled: BTreeSet<Event>,
    /// Its payment's row.
    pub(super) payment: Option<Payment>,
    /// What the provider has done for it, in order.
    pub(super) ledger: Vec<Entry>,
    /// Answers of the provider that are not written down yet.
    pub(super) answers: BTreeSet<Answer>,
    /// A handler has met what it holds for impossible.
    pub(super) impossible: bool,
}

/// All of a payment that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Payment {
    pub(super) state: PaymentState,
    pub(super) settled: bool,
    pub(super) has_link: bool,
}

/// What the provider has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    Authorised,
    Declined,
    Captured,
    Voided,
}

/// What the provider has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Answer {
    Accepted,
    Refused,
    Captured,
    Voided,
}

impl World {
    /// Nobody has ordered anything.
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self { on_hand: bounds.stock, orders: vec![Order::default(); bounds.orders] }
    }

    /// States that differ only in which order is which are made equal.
    pub(super) fn normalised(mut self) -> Self {
        self.orders.sort_by_key(|order| {
            let mut hasher = DefaultHasher::new();
            order.hash(&mut hasher);
            hasher.finish()
        });
        self
    }

    /// Whether nothing moves by itself any more.
    pub(super) fn is_at_rest(&self) -> bool {
        self.orders.iter().all(Order::is_at_rest)
    }
}

impl Order {
    /// Whether nothing about it moves by itself any more.
    pub(super) fn is_at_rest(&self) -> bool {
        self.waiting.is_empty() && self.answers.is_empty() && self.owed_call().is_none()
    }

    /// Whether it has taken its unit, and not given it back.
    pub(super) fn holds_stock(&self) -> bool {
        self.situation.is_some_and(|situation| situation.stock_taken)
    }

    /// Its state, once it is placed.
    pub(super) fn state(&self) -> Option<OrderState> {
        self.situation.map(|situation| situation.state)
    }

    /// Whether the caller's payment has come to it.
    pub(super) fn is_paid(&self) -> bool {
        self.situation.is_some_and(|situation| situation.is_paid)
    }

    /// How often the provider has charged.
    pub(super) fn charges(&self) -> usize {
        self.ledger.iter().filter(|entry| **entry == Entry::Captured).count()
    }

    /// Whether the provider has done so.
    pub(super) fn provider_has(&self, entry: Entry) -> bool {
        self.ledger.contains(&entry)
    }
}
