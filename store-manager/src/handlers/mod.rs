//! What follows from each event: one file an event, in the transaction that the consumer begins and commits.
//!
//! The match below is exhaustive: a new event does not compile until it has an arm. A handler says
//! which input the event is; [`crate::domain::saga`] decides what that means, and [`crate::steps`] does it.

mod order_cancelled;
mod order_created;
mod payment_cancelled;
mod payment_created;
mod payment_creation_failed;
mod payment_processed;
mod stock_decrease_failed;
mod stock_increased;

use std::str::FromStr;

use messaging::{Context, HandleError, Handler, Record};
use proto::{
    Event as _, IdError,
    store::{
        orders::events::v1::{OrderEvent, order_event::Event as Order},
        payments::events::v1::{PaymentEvent, payment_event::Event as Payment},
        stock::events::v1::{StockEvent, stock_event::Event as Stock},
    },
};
use sqlx::PgConnection;

use crate::{metrics::Metrics, watches::Watches};

/// The topics that this service reads.
pub const TOPICS: &[&str] = &[OrderEvent::TOPIC, StockEvent::TOPIC, PaymentEvent::TOPIC];

/// Hands each event to its handler, and tells the watches of its order afterwards.
#[derive(Debug)]
pub struct Handlers {
    watches: Watches,
    metrics: Metrics,
}

impl Handlers {
    /// Tells `watches` which orders moved, and counts in `metrics`.
    #[must_use]
    pub fn new(watches: Watches, metrics: Metrics) -> Self {
        Self { watches, metrics }
    }
}

impl Handler for Handlers {
    fn topics(&self) -> &'static [&'static str] {
        TOPICS
    }

    async fn handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> Result<(), HandleError> {
        let context = record.context();
        match record.topic.as_str() {
            OrderEvent::TOPIC => order(connection, &context, record.decode()?).await,
            StockEvent::TOPIC => stock(connection, &context, record.decode()?).await,
            PaymentEvent::TOPIC => payment(connection, &context, record.decode()?).await,
            topic => Err(HandleError::Reject(format!("nothing is known of topic {topic}"))),
        }
    }

    fn committed(&self, records: &[&Record]) {
        for record in records {
            if let Some(order_id) = record.key().and_then(|key| key.parse().ok()) {
                self.watches.wake(order_id);
            }
            self.metrics.observe(record);
        }
    }
}

async fn order(
    connection: &mut PgConnection,
    context: &Context,
    envelope: OrderEvent,
) -> Result<(), HandleError> {
    match envelope.event {
        Some(Order::OrderCreated(event)) => order_created::handle(connection, context, event).await,
        Some(Order::OrderCancelled(event)) => {
            order_cancelled::handle(connection, context, event).await
        }
        // Our own announcements, which ask nothing of us.
        Some(
            Order::OrderCreationFailed(_)
            | Order::OrderCancellationRequested(_)
            | Order::SagaCompleted(_),
        ) => Ok(()),
        None => Err(newer()),
    }
}

async fn stock(
    connection: &mut PgConnection,
    context: &Context,
    envelope: StockEvent,
) -> Result<(), HandleError> {
    match envelope.event {
        Some(Stock::StockDecreaseFailed(event)) => {
            stock_decrease_failed::handle(connection, context, event).await
        }
        Some(Stock::StockIncreased(event)) => {
            stock_increased::handle(connection, context, event).await
        }
        // Our own announcements, which ask nothing of us.
        Some(Stock::StockDecreased(_) | Stock::StockIncreaseFailed(_) | Stock::StockSet(_)) => {
            Ok(())
        }
        None => Err(newer()),
    }
}

async fn payment(
    connection: &mut PgConnection,
    context: &Context,
    envelope: PaymentEvent,
) -> Result<(), HandleError> {
    match envelope.event {
        Some(Payment::PaymentCreated(event)) => {
            payment_created::handle(connection, context, event).await
        }
        Some(Payment::PaymentCreationFailed(event)) => {
            payment_creation_failed::handle(connection, context, event).await
        }
        Some(Payment::PaymentProcessed(event)) => {
            payment_processed::handle(connection, context, event).await
        }
        Some(Payment::PaymentCancelled(event)) => {
            payment_cancelled::handle(connection, context, event).await
        }
        None => Err(newer()),
    }
}

fn newer() -> HandleError {
    HandleError::Reject("the event is newer than this consumer".to_owned())
}

/// Reads an id in an event.
fn id<T: FromStr<Err = IdError>>(field: &str, text: &str) -> Result<T, HandleError> {
    text.parse().map_err(|error| HandleError::Reject(format!("{field}: {error}")))
}
