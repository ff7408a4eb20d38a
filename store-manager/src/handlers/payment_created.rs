//! PaymentCreated: completes the order.

use messaging::{Context, HandleError};
use proto::store::payments::events::v1::PaymentCreated;
use sqlx::PgConnection;

use crate::{
    domain::saga::{Input, Payment},
    handlers::id,
    steps,
};

/// Handles the event.
pub(super) async fn handle(
    connection: &mut PgConnection,
    context: &Context,
    event: PaymentCreated,
) -> Result<(), HandleError> {
    let order_id = id("order_id", &event.order_id)?;
    let payment_id = id("payment_id", &event.payment_id)?;
    let input = Input::PaymentCreated(Payment { payment_id, payment_link: event.payment_link });
    steps::advance(connection, context, order_id, input).await
}
