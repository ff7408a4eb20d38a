//! Which event goes where: for the one message of each topic, the topic, who speaks, and per event its name and key.

use prost::Name;

use crate::store;

/// The one message of a topic.
pub trait Event: prost::Message + Name + Default {
    /// The topic: the Protobuf package of its events.
    const TOPIC: &'static str = Self::PACKAGE;
    /// The service that alone writes the topic; CloudEvents `source`.
    const SOURCE: &'static str;

    /// The full name of the event inside; CloudEvents `type`. `None` if it holds none that this build knows.
    fn event_type(&self) -> Option<String>;

    /// The Kafka key: the id of the aggregate the event is about. `None` as above.
    fn key(&self) -> Option<&str>;
}

impl Event for store::orders::events::v1::OrderEvent {
    const SOURCE: &'static str = "store-manager";

    fn event_type(&self) -> Option<String> {
        use store::orders::events::v1::{self as events, order_event::Event as Inner};
        Some(match self.event.as_ref()? {
            Inner::OrderCreated(_) => events::OrderCreated::full_name(),
            Inner::OrderCreationFailed(_) => events::OrderCreationFailed::full_name(),
            Inner::OrderCancellationRequested(_) => events::OrderCancellationRequested::full_name(),
            Inner::OrderCancelled(_) => events::OrderCancelled::full_name(),
            Inner::SagaCompleted(_) => events::SagaCompleted::full_name(),
        })
    }

    fn key(&self) -> Option<&str> {
        use store::orders::events::v1::order_event::Event as Inner;
        Some(match self.event.as_ref()? {
            Inner::OrderCreated(event) => &event.order_id,
            Inner::OrderCreationFailed(event) => &event.order_id,
            Inner::OrderCancellationRequested(event) => &event.order_id,
            Inner::OrderCancelled(event) => &event.order_id,
            Inner::SagaCompleted(event) => &event.order_id,
        })
    }
}

impl Event for store::stock::events::v1::StockEvent {
    const SOURCE: &'static str = "store-manager";

    fn event_type(&self) -> Option<String> {
        use store::stock::events::v1::{self as events, stock_event::Event as Inner};
        Some(match self.event.as_ref()? {
            Inner::StockDecreased(_) => events::StockDecreased::full_name(),
            Inner::StockDecreaseFailed(_) => events::StockDecreaseFailed::full_name(),
            Inner::StockIncreased(_) => events::StockIncreased::full_name(),
            Inner::StockIncreaseFailed(_) => events::StockIncreaseFailed::full_name(),
            Inner::StockSet(_) => events::StockSet::full_name(),
        })
    }

    fn key(&self) -> Option<&str> {
        use store::stock::events::v1::stock_event::Event as Inner;
        match self.event.as_ref()? {
            Inner::StockDecreased(event) => Some(&event.order_id),
            Inner::StockDecreaseFailed(event) => Some(&event.order_id),
            Inner::StockIncreased(event) => Some(&event.order_id),
            Inner::StockIncreaseFailed(event) => Some(&event.order_id),
            Inner::StockSet(event) => Some(&event.line.as_ref()?.product_id),
        }
    }
}

impl Event for store::payments::events::v1::PaymentEvent {
    const SOURCE: &'static str = "payments";

    fn event_type(&self) -> Option<String> {
        use store::payments::events::v1::{self as events, payment_event::Event as Inner};
        Some(match self.event.as_ref()? {
            Inner::PaymentCreated(_) => events::PaymentCreated::full_name(),
            Inner::PaymentCreationFailed(_) => events::PaymentCreationFailed::full_name(),
            Inner::PaymentProcessed(_) => events::PaymentProcessed::full_name(),
            Inner::PaymentCancelled(_) => events::PaymentCancelled::full_name(),
        })
    }

    fn key(&self) -> Option<&str> {
        use store::payments::events::v1::payment_event::Event as Inner;
        Some(match self.event.as_ref()? {
            Inner::PaymentCreated(event) => &event.order_id,
            Inner::PaymentCreationFailed(event) => &event.order_id,
            Inner::PaymentProcessed(event) => &event.order_id,
            Inner::PaymentCancelled(event) => &event.order_id,
        })
    }
}

impl Event for store::products::events::v1::ProductEvent {
    const SOURCE: &'static str = "store-manager";

    fn event_type(&self) -> Option<String> {
        use store::products::events::v1::{self as events, product_event::Event as Inner};
        Some(match self.event.as_ref()? {
            Inner::ProductCreated(_) => events::ProductCreated::full_name(),
            Inner::ProductDeleted(_) => events::ProductDeleted::full_name(),
        })
    }

    fn key(&self) -> Option<&str> {
        use store::products::events::v1::product_event::Event as Inner;
        Some(match self.event.as_ref()? {
            Inner::ProductCreated(event) => &event.product_id,
            Inner::ProductDeleted(event) => &event.product_id,
        })
    }
}

impl Event for store::users::events::v1::UserEvent {
    const SOURCE: &'static str = "store-manager";

    fn event_type(&self) -> Option<String> {
        use store::users::events::v1::{self as events, user_event::Event as Inner};
        Some(match self.event.as_ref()? {
            Inner::UserCreated(_) => events::UserCreated::full_name(),
            Inner::UserDeleted(_) => events::UserDeleted::full_name(),
        })
    }

    fn key(&self) -> Option<&str> {
        use store::users::events::v1::user_event::Event as Inner;
        Some(match self.event.as_ref()? {
            Inner::UserCreated(event) => &event.user_id,
            Inner::UserDeleted(event) => &event.user_id,
        })
    }
}

// Each event becomes the one message of its topic; written by build.rs from the descriptors.
include!(concat!(env!("OUT_DIR"), "/envelopes.rs"));
