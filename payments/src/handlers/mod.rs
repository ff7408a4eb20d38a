//! What other services' events do here: one event, one transaction, a file each.
//!
//! Reads `store.orders.events.v1` and `store.stock.events.v1`. After the commit the worker is woken: it calls the
//! provider, which has no place in the transaction.

mod order_cancellation_requested;
mod stock_decreased;

use std::{fmt::Display, sync::Arc};

use messaging::{HandleError, Handler, Record};
use proto::{
    Event, Money,
    google::r#type,
    store::{
        orders::events::v1::{OrderEvent, order_event},
        stock::events::v1::{StockEvent, stock_event},
    },
};
use sqlx::PgConnection;
use tokio::sync::Notify;

/// The topics that are read.
pub const TOPICS: &[&str] = &[OrderEvent::TOPIC, StockEvent::TOPIC];

const NEWER: &str = "the event is newer than this consumer";

/// Hands each event to its handler.
#[derive(Debug)]
pub struct PaymentsHandler {
    wake_worker: Arc<Notify>,
}

impl PaymentsHandler {
    /// A handler that wakes the worker through `wake_worker` after each commit.
    #[must_use]
    pub fn new(wake_worker: Arc<Notify>) -> Self {
        Self { wake_worker }
    }
}

impl Handler for PaymentsHandler {
    fn topics(&self) -> &'static [&'static str] {
        TOPICS
    }

    async fn handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> Result<(), HandleError> {
        match record.topic.as_str() {
            OrderEvent::TOPIC => order_event(connection, record).await,
            StockEvent::TOPIC => stock_event(connection, record).await,
            topic => Err(HandleError::Reject(format!("topic {topic} is not read here"))),
        }
    }

    fn committed(&self, _records: &[&Record]) {
        self.wake_worker.notify_one();
    }
}

async fn order_event(connection: &mut PgConnection, record: &Record) -> Result<(), HandleError> {
    use order_event::Event;
    match record.decode::<OrderEvent>()?.event {
        Some(Event::OrderCancellationRequested(event)) => {
            order_cancellation_requested::handle(connection, &record.context(), event).await
        }
        // An order without its stock is nothing to pay yet.
        Some(Event::OrderCreated(_)) => Ok(()),
        // There is no order.
        Some(Event::OrderCreationFailed(_)) => Ok(()),
        // Either payments has cancelled the payment before, or the order never came to one.
        Some(Event::OrderCancelled(_)) => Ok(()),
        // The end of the saga is for others.
        Some(Event::SagaCompleted(_)) => Ok(()),
        None => Err(HandleError::Reject(NEWER.to_owned())),
    }
}

async fn stock_event(connection: &mut PgConnection, record: &Record) -> Result<(), HandleError> {
    use stock_event::Event;
    match record.decode::<StockEvent>()?.event {
        Some(Event::StockDecreased(event)) => {
            stock_decreased::handle(connection, &record.context(), event).await
        }
        // Nothing was taken, so nothing is to be paid.
        Some(Event::StockDecreaseFailed(_)) => Ok(()),
        // Given back because the payment failed or was cancelled: payments said so.
        Some(Event::StockIncreased(_)) => Ok(()),
        // As above; the stock is for a person to mend, the payment has ended.
        Some(Event::StockIncreaseFailed(_)) => Ok(()),
        // Stock by hand belongs to no order.
        Some(Event::StockSet(_)) => Ok(()),
        None => Err(HandleError::Reject(NEWER.to_owned())),
    }
}

fn wrong(field: &str, error: impl Display) -> HandleError {
    HandleError::Reject(format!("{field}: {error}"))
}

/// An amount that can be paid.
fn amount(field: &str, money: Option<r#type::Money>) -> Result<Money, HandleError> {
    let money = money.ok_or_else(|| wrong(field, "missing"))?;
    let money = Money::try_from(&money).map_err(|error| wrong(field, error))?;
    if money.amount_minor <= 0 {
        return Err(wrong(field, "not above zero"));
    }
    Ok(money)
}
