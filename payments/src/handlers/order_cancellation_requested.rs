//! `OrderCancellationRequested`: payments decides whether the cancel is in time. It is unless the payment is paid.

use messaging::{Context, HandleError, outbox};
use proto::store::orders::events::v1::OrderCancellationRequested;
use sqlx::PgConnection;
use tracing::{debug, info};

use super::{amount, wrong};
use crate::{
    domain::{Outcome, Payment, PaymentInput},
    store::payments,
};

pub(super) async fn handle(
    connection: &mut PgConnection,
    context: &Context,
    event: OrderCancellationRequested,
) -> Result<(), HandleError> {
    let order_id = event.order_id.parse().map_err(|error| wrong("order_id", error))?;
    let user_id = event.user_id.parse().map_err(|error| wrong("user_id", error))?;
    let (payment, announcement) =
        Payment::cancelled(order_id, user_id, amount("total", event.total)?);
    if payments::insert(connection, &payment, context).await? {
        outbox::append(connection, context, &announcement).await?;
        info!(order.id = %order_id, payment.id = %payment.payment_id, "payment cancelled unseen");
        return Ok(());
    }
    let (payment, _) = payments::lock_by_order(connection, order_id).await?;
    match payment.apply(PaymentInput::OrderCancellationRequested) {
        Ok(Outcome::Changed { payment, announcement }) => {
            let payment = payments::update(connection, payment).await?;
            if let Some(announcement) = announcement {
                outbox::append(connection, context, &announcement).await?;
            } else {
                // The worker will announce the cancel; this event is its cause.
                payments::set_cause(connection, payment.payment_id, context).await?;
            }
            info!(
                order.id = %order_id, payment.id = %payment.payment_id, payment.state = %payment.state,
                "order cancellation taken in"
            );
            Ok(())
        }
        Ok(Outcome::AlreadyDone(payment) | Outcome::TooLate(payment)) => {
            debug!(order.id = %order_id, payment.state = %payment.state, "nothing to cancel");
            Ok(())
        }
        Err(error) => Err(HandleError::Reject(error.to_string())),
    }
}
