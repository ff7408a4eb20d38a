//! PaymentCancelled: gives the order's stock back.

use messaging::{Context, HandleError};
use proto::store::payments::events::v1::PaymentCancelled;
use sqlx::PgConnection;

use crate::{domain::saga::Input, handlers::id, steps};

/// Handles the event.
pub(super) async fn handle(
    connection: &mut PgConnection,
    context: &Context,
    event: PaymentCancelled,
) -> Result<(), HandleError> {
    let order_id = id("order_id", &event.order_id)?;
    let payment_id = id("payment_id", &event.payment_id)?;
    let input = Input::PaymentCancelled(payment_id);
    steps::advance(connection, context, order_id, input).await
}
