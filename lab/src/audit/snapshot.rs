//! All that the invariants are told: the rows of both databases and the records of all topics, as plain data.

use std::collections::{BTreeMap, HashSet};

use proto::{Event as _, store};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LedgerKind, OrderState, PaymentState, Record, Row};
use crate::history::Reply;

/// What is there at one moment. What is not known is empty; a test may make one up.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// `store_manager.orders`.
    pub orders: Vec<Order>,
    /// `store_manager.order_lines`.
    pub lines: Vec<OrderLine>,
    /// `store_manager.order_states`, those of an order in the order in which they were reached.
    pub order_states: Vec<ReachedState>,
    /// `store_manager.order_refusals`.
    pub refusals: Vec<Refusal>,
    /// `store_manager.stock`.
    pub stock: Vec<Stock>,
    /// `payments.payments`.
    pub payments: Vec<Payment>,
    /// `simulated_provider.ledger`.
    pub ledger: Vec<LedgerEntry>,
    /// `messaging.requests` of both databases: the first answer to each `request_id`.
    pub answers: BTreeMap<Uuid, Reply>,
    /// `messaging.inbox` of both databases.
    pub inbox: Vec<Handled>,
    /// `messaging.outbox` of both databases, the rows of each in the order of their numbers.
    pub outbox: Vec<Row>,
    /// The records of all event topics, those of each partition in the order of their offsets.
    pub records: Vec<Record>,
    /// The records of all dead-letter topics.
    pub dead_letters: Vec<Record>,
    /// From where each consumer would read on.
    pub positions: Vec<Position>,
    /// What of the beginning is there no more, in a sentence each: then no invariant can be told.
    pub lost_beginnings: Vec<String>,
    /// How many of each product were there before the first event; none of a product that is not named.
    pub initial_stock: BTreeMap<Uuid, i64>,
    /// Events that somebody put on a topic on purpose, besides those whose records say so themselves.
    pub injected: HashSet<Uuid>,
}

/// Who owns a database, writes its outbox, and reads topics under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Orders, stock, catalogue and users.
    StoreManager,
    /// Payments.
    Payments,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Order {
    /// Its id.
    pub order_id: Uuid,
    /// Who ordered.
    pub user_id: Uuid,
    /// How far it has come.
    pub state: OrderState,
    /// What it costs, in minor units.
    pub total_minor: i64,
    /// Of which currency.
    pub currency: String,
    /// Whether its lines are out of the stock.
    pub stock_taken: bool,
    /// Whether it is paid.
    pub is_paid: bool,
    /// Its payment, once it is known.
    pub payment_id: Option<Uuid>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// When it was placed.
    pub created_at: OffsetDateTime,
}

/// A line of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct OrderLine {
    /// Of which order.
    pub order_id: Uuid,
    /// Which product.
    pub product_id: Uuid,
    /// How many.
    pub quantity: i32,
    /// What one of it cost at the moment of the order, in minor units.
    pub unit_price_minor: i64,
}

/// A state that an order has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ReachedState {
    /// Which order.
    pub order_id: Uuid,
    /// The state.
    pub state: OrderState,
}

/// An order that was not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Refusal {
    /// The id it would have had.
    pub order_id: Uuid,
    /// The request's id, if it had one.
    pub request_id: Option<Uuid>,
}

/// What is on hand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Stock {
    /// Which product.
    pub product_id: Uuid,
    /// How many.
    pub quantity: i64,
    /// How many changes it has seen.
    pub version: i64,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Payment {
    /// Its id.
    pub payment_id: Uuid,
    /// The order it pays.
    pub order_id: Uuid,
    /// Who pays.
    pub user_id: Uuid,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Of which currency.
    pub currency: String,
    /// How far it has come.
    pub state: PaymentState,
    /// Whether the provider agrees.
    pub settled: bool,
}

/// What the provider has noted.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LedgerEntry {
    /// For which payment.
    pub payment_id: Uuid,
    /// Of which order.
    pub order_id: Uuid,
    /// What.
    pub kind: LedgerKind,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// Of which currency.
    pub currency: String,
}

/// An event that a consumer remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handled {
    /// Who remembers it.
    pub by: Owner,
    /// Which.
    pub event_id: Uuid,
    /// When it began to handle it: before the commit of what it did.
    pub handled_at: OffsetDateTime,
}

/// From where a consumer would read a partition on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Who.
    pub reader: Owner,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record; 0 if it has committed none.
    pub offset: i64,
}

impl Owner {
    /// Both.
    pub const ALL: [Self; 2] = [Self::StoreManager, Self::Payments];

    /// Its name, which is also its consumer group.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StoreManager => "store-manager",
            Self::Payments => "payments",
        }
    }

    /// The topics that it reads.
    #[must_use]
    pub fn reads(self) -> &'static [&'static str] {
        const TOPICS: [&str; 3] = [
            store::orders::events::v1::OrderEvent::TOPIC,
            store::stock::events::v1::StockEvent::TOPIC,
            store::payments::events::v1::PaymentEvent::TOPIC,
        ];
        match self {
            Self::StoreManager => &TOPICS,
            Self::Payments => TOPICS.split_at(2).0,
        }
    }
}

impl Snapshot {
    /// Whether somebody put this record on its topic on purpose, besides the relay.
    #[must_use]
    pub fn is_marked(&self, record: &Record) -> bool {
        record.is_marked() || record.event_id().is_some_and(|id| self.injected.contains(&id))
    }

    /// The order that an event is about, if it is about one.
    #[must_use]
    pub fn order_of(&self, event_id: Uuid) -> Option<Uuid> {
        let row = self.outbox.iter().find(|row| row.event_id == event_id);
        let record = || self.records.iter().find(|record| record.event_id() == Some(event_id));
        row.map_or_else(|| record()?.order_id(), Row::order_id)
    }

    /// The records that the relay has put on the topics.
    pub fn relayed(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| !self.is_marked(record))
    }
}
