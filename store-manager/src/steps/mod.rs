//! The steps of the saga: what [`crate::domain::saga`] decides, done in the caller's transaction, one file a step where
//! there is more to it than the order's own row. Handlers and the command `cancel_order` both end here.

mod give_stock_back;
mod take_stock;

use messaging::{Context, HandleError, outbox};
use proto::{
    OrderId,
    store::{orders::events::v1::OrderEvent, stock::events::v1::StockEvent},
};
use sqlx::PgConnection;
use tracing::{debug, info};

use crate::{
    announcements,
    domain::{
        order::{Failure, Order},
        saga::{Input, Outcome, Situation, Step},
    },
    store::orders,
};

/// Locks the order an event is about, decides what the event means, and does it.
///
/// # Errors
/// [`HandleError::Reject`] for an unknown order and for what is impossible.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    context: &Context,
    order_id: OrderId,
    input: Input,
) -> Result<(), HandleError> {
    let mut order = orders::lock(connection, order_id)
        .await?
        .ok_or_else(|| HandleError::Reject(format!("there is no order {order_id}")))?;
    let situation = Situation::from(&order);
    match situation.decide(input.clone()) {
        Outcome::Applies(step) | Outcome::TooLate(step) => {
            Ok(perform(connection, context, &mut order, step).await?)
        }
        Outcome::AlreadyDone => {
            debug!(order.id = %order_id, ?input, "nothing follows");
            Ok(())
        }
        Outcome::Impossible => Err(HandleError::Reject(format!(
            "order {order_id}: {input:?} is impossible in {situation:?}"
        ))),
    }
}

/// Does one step for a locked order: decide, write, announce.
pub(crate) async fn perform(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
    step: Step,
) -> sqlx::Result<()> {
    let before = order.state;
    let announcements = apply(connection, order, step).await?;
    orders::write(connection, order, before).await?;
    for announcement in announcements {
        announcement.append(connection, context).await?;
    }
    if order.state != before {
        info!(order.id = %order.order_id, from = ?before, to = ?order.state, "order moved");
    }
    Ok(())
}

/// Changes the order, and the stock where the step is about it; answers what is to be announced.
async fn apply(
    connection: &mut PgConnection,
    order: &mut Order,
    step: Step,
) -> sqlx::Result<Vec<Announcement>> {
    Ok(match step {
        Step::TakeStock => vec![take_stock::apply(connection, order).await?.into()],
        Step::GiveStockBack(failure) => give_stock_back::apply(connection, order, failure).await?,
        Step::Complete(payment) => {
            order.complete(payment);
            Vec::from_iter(end_saga(order))
        }
        Step::NotePayment(payment) => {
            order.note_payment(payment);
            Vec::new()
        }
        Step::VoidPayment(payment) => {
            order.note_payment(payment);
            vec![announcements::order_cancellation_requested(order).into()]
        }
        Step::Pay(payment_id) => {
            order.pay(payment_id);
            Vec::from_iter(end_saga(order))
        }
        Step::AskPayments => {
            order.start_cancelling(Failure::cancelled_by_caller());
            vec![announcements::order_cancellation_requested(order).into()]
        }
        Step::Cancel => {
            order.cancel(Failure::cancelled_by_caller());
            vec![announcements::order_cancelled(order).into()]
        }
        Step::EndSaga => Vec::from_iter(end_saga(order)),
    })
}

/// The end of the saga, if it has not been announced.
fn end_saga(order: &mut Order) -> Option<Announcement> {
    order.end_saga().then(|| announcements::saga_completed(order).into())
}

/// An event that a step announces.
enum Announcement {
    Order(OrderEvent),
    Stock(StockEvent),
}

impl From<OrderEvent> for Announcement {
    fn from(event: OrderEvent) -> Self {
        Self::Order(event)
    }
}

impl From<StockEvent> for Announcement {
    fn from(event: StockEvent) -> Self {
        Self::Stock(event)
    }
}

impl Announcement {
    async fn append(self, connection: &mut PgConnection, context: &Context) -> sqlx::Result<()> {
        match self {
            Self::Order(event) => outbox::append(connection, context, &event).await?,
            Self::Stock(event) => outbox::append(connection, context, &event).await?,
        };
        Ok(())
    }
}
