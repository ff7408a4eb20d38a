//! `StockDecreased`: the order's stock is taken, so it is to be paid. Fixes the payment's id; the worker asks the provider.

use messaging::{Context, HandleError};
use proto::store::stock::events::v1::StockDecreased;
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
    event: StockDecreased,
) -> Result<(), HandleError> {
    let order_id = event.order_id.parse().map_err(|error| wrong("order_id", error))?;
    let user_id = event.user_id.parse().map_err(|error| wrong("user_id", error))?;
    let payment = Payment::requested(order_id, user_id, amount("total", event.total)?);
    if payments::insert(connection, &payment, context).await? {
        info!(order.id = %order_id, payment.id = %payment.payment_id, "payment requested");
        return Ok(());
    }
    let (payment, _) = payments::lock_by_order(connection, order_id).await?;
    match payment.apply(PaymentInput::StockDecreased) {
        Ok(Outcome::AlreadyDone(payment) | Outcome::TooLate(payment)) => {
            debug!(order.id = %order_id, payment.state = %payment.state, "order has its payment");
            Ok(())
        }
        Ok(Outcome::Changed { payment, .. }) => {
            Err(HandleError::Reject(format!("a payment that is {} was to change", payment.state)))
        }
        Err(error) => Err(HandleError::Reject(error.to_string())),
    }
}
