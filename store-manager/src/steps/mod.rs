//! The steps of the saga: what [`crate::domain::saga`] decides, done in the caller's transaction, one file a step where
//! there is more to it than the order's own row. Handlers and the command `cancel_order` both end here.

mod give_stock_back;
mod take_stock;

use messaging::{Context, HandleError, outbox};
use proto::OrderId;
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

/// Does one step for a locked order.
pub(crate) async fn perform(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
    step: Step,
) -> sqlx::Result<()> {
    let before = order.state;
    match step {
        Step::TakeStock => take_stock::perform(connection, context, order).await?,
        Step::GiveStockBack(failure) => {
            give_stock_back::perform(connection, context, order, failure).await?;
        }
        Step::Complete(payment) => {
            order.complete(payment);
            end_saga(connection, context, order).await?;
        }
        Step::NotePayment(payment) => order.note_payment(payment),
        Step::VoidPayment(payment) => {
            order.note_payment(payment);
            outbox::append(
                connection,
                context,
                &announcements::order_cancellation_requested(order),
            )
            .await?;
        }
        Step::Pay(payment_id) => {
            order.pay(payment_id);
            end_saga(connection, context, order).await?;
        }
        Step::AskPayments => {
            order.start_cancelling(Failure::cancelled_by_caller());
            outbox::append(
                connection,
                context,
                &announcements::order_cancellation_requested(order),
            )
            .await?;
        }
        Step::Cancel => {
            order.cancel(Failure::cancelled_by_caller());
            outbox::append(connection, context, &announcements::order_cancelled(order)).await?;
        }
        Step::EndSaga => end_saga(connection, context, order).await?,
    }
    orders::write(connection, order, before).await?;
    if order.state != before {
        info!(order.id = %order.order_id, from = ?before, to = ?order.state, "order moved");
    }
    Ok(())
}

/// Announces the end of the saga, if that has not been done.
async fn end_saga(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
) -> sqlx::Result<()> {
    if order.end_saga() {
        outbox::append(connection, context, &announcements::saga_completed(order)).await?;
    }
    Ok(())
}
