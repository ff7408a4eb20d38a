//! An event where it belongs, a row of an outbox or a record of a topic, and what it says.

use prost::Message as _;
use proto::Event as _;
use proto::store::{
    orders::events::v1::{OrderEvent, order_event},
    payments::events::v1::{PaymentEvent, payment_event},
    products::events::v1::{ProductEvent, product_event},
    stock::events::v1::{StockEvent, stock_event},
    users::events::v1::{UserEvent, user_event},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Owner;
use crate::invariants::Event;

/// Names the header of a record that a test puts on a topic.
pub const INJECTED: &str = "lab-injected";
/// Headers of what an operator has sent once more.
const SENT_AGAIN: [&str; 2] = ["outbox-relay-replay", "dlq-redriven-from"];

/// A committed row of an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose outbox.
    pub owner: Owner,
    /// Its number.
    pub sequence: i64,
    /// The event's id.
    pub event_id: Uuid,
    /// The topic it is for.
    pub topic: String,
    /// The key it is to have there.
    pub key: String,
    /// The event's full type name.
    pub event_type: String,
    /// The service that speaks.
    pub source: String,
    /// What the event is about.
    pub subject: String,
    /// The saga it belongs to.
    pub correlation: Option<String>,
    /// The event that caused it; none after a command.
    pub cause: Option<Uuid>,
    /// The W3C trace context of its transaction.
    pub traceparent: Option<String>,
    /// When it was written.
    pub created_at: OffsetDateTime,
    /// The event.
    pub payload: Vec<u8>,
}

/// A record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key, or the empty text.
    pub key: String,
    /// The headers, as far as they are text.
    pub headers: Vec<(String, String)>,
    /// The value.
    pub payload: Vec<u8>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Something about an order.
    Order(order_event::Event),
    /// Something about stock.
    Stock(stock_event::Event),
    /// Something about a payment.
    Payment(payment_event::Event),
    /// Something about a product.
    Product(product_event::Event),
    /// Something about a user.
    User(user_event::Event),
    /// Nothing that this build can read.
    Unreadable,
}

impl Content {
    /// Reads the payload of an event of `topic`.
    #[must_use]
    pub fn read(topic: &str, payload: &[u8]) -> Self {
        let read = match topic {
            OrderEvent::TOPIC => {
                OrderEvent::decode(payload).ok().and_then(|event| event.event).map(Self::Order)
            }
            StockEvent::TOPIC => {
                StockEvent::decode(payload).ok().and_then(|event| event.event).map(Self::Stock)
            }
            PaymentEvent::TOPIC => {
                PaymentEvent::decode(payload).ok().and_then(|event| event.event).map(Self::Payment)
            }
            ProductEvent::TOPIC => {
                ProductEvent::decode(payload).ok().and_then(|event| event.event).map(Self::Product)
            }
            UserEvent::TOPIC => {
                UserEvent::decode(payload).ok().and_then(|event| event.event).map(Self::User)
            }
            _ => None,
        };
        read.unwrap_or(Self::Unreadable)
    }
}

impl Row {
    /// What it says.
    #[must_use]
    pub fn content(&self) -> Content {
        Content::read(&self.topic, &self.payload)
    }

    /// The event's name without its package.
    #[must_use]
    pub fn event_name(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or_default()
    }

    /// The order that it is about, if it is about one.
    #[must_use]
    pub fn order_id(&self) -> Option<Uuid> {
        order_of(&self.topic, &self.payload, &self.key)
    }

    /// The event as the relay's invariants know it.
    #[must_use]
    pub fn event(&self) -> Event {
        let (topic, key) = (self.topic.clone(), self.key.clone());
        Event { id: self.event_id, topic, key, partition: None }
    }
}

impl Record {
    /// A header's value. What Debezium has quoted comes without its quotes, and its `null` is no value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, text) = self.headers.iter().find(|(header, _)| header == name)?;
        let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Some(unquoted.unwrap_or(text)).filter(|_| text != "null")
    }

    /// The event's id: header `ce_id`, or `id` from Debezium.
    #[must_use]
    pub fn event_id(&self) -> Option<Uuid> {
        self.header("ce_id").or_else(|| self.header("id"))?.parse().ok()
    }

    /// What it says.
    #[must_use]
    pub fn content(&self) -> Content {
        Content::read(&self.topic, &self.payload)
    }

    /// The order that it is about, if it is about one.
    #[must_use]
    pub fn order_id(&self) -> Option<Uuid> {
        order_of(&self.topic, &self.payload, &self.key)
    }

    /// The event as the relay's invariants know it; one without an id has the nil id, which no row has.
    #[must_use]
    pub fn event(&self) -> Event {
        let id = self.event_id().unwrap_or_default();
        let (topic, key) = (self.topic.clone(), self.key.clone());
        Event { id, topic, key, partition: Some(self.partition) }
    }

    /// Whether it says itself that a test injected it, or that an operator sent it once more.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        SENT_AGAIN.iter().chain([&INJECTED]).any(|mark| self.header(mark).is_some())
    }
}

/// The key of all but a person's stock, a product and a user is the order.
fn order_of(topic: &str, payload: &[u8], key: &str) -> Option<Uuid> {
    match Content::read(topic, payload) {
        Content::Stock(stock_event::Event::StockSet(_))
        | Content::Product(_)
        | Content::User(_)
        | Content::Unreadable => None,
        Content::Order(_) | Content::Payment(_) | Content::Stock(_) => key.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proto::store::{orders::events::v1::OrderCreated, stock::events::v1::StockSet};

    use super::*;

    fn record(topic: &str, key: Uuid, payload: Vec<u8>, headers: &[(&str, &str)]) -> Record {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Record {
            topic: topic.to_owned(),
            partition: 0,
            offset: 0,
            key: key.to_string(),
            headers: headers.iter().map(header).collect(),
            payload,
        }
    }

    #[test]
    fn the_order_is_the_key_of_what_is_about_an_order() {
        let key = Uuid::from_u128(7);
        let created = OrderEvent::from(OrderCreated::default()).encode_to_vec();
        let set = StockEvent::from(StockSet::default()).encode_to_vec();
        assert_eq!(record(OrderEvent::TOPIC, key, created, &[]).order_id(), Some(key));
        assert_eq!(record(StockEvent::TOPIC, key, set, &[]).order_id(), None);
        let unreadable = record(OrderEvent::TOPIC, key, vec![0xff], &[]);
        assert_eq!((unreadable.content(), unreadable.order_id()), (Content::Unreadable, None));
    }

    #[test]
    fn what_debezium_has_quoted_is_read() {
        let id = Uuid::from_u128(7);
        let quoted = format!("\"{id}\"");
        let record = record("", id, Vec::new(), &[("id", &quoted), ("ce_type", "null")]);
        assert_eq!((record.event_id(), record.header("ce_type")), (Some(id), None));
    }

    #[test]
    fn a_record_says_who_sent_it_besides_the_relay() {
        let with = |header| record("", Uuid::nil(), Vec::new(), &[(header, "x")]);
        for header in [INJECTED, "outbox-relay-replay", "dlq-redriven-from"] {
            assert!(with(header).is_marked(), "{header}");
        }
        // A repair sends what was never sent.
        assert!(!with("outbox-relay-repair").is_marked() && !with("ce_id").is_marked());
    }
}
