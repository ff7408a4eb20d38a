//! OrderCancelled: ends the saga of a cancelled order.

use messaging::{Context, HandleError};
use proto::store::orders::events::v1::OrderCancelled;
use sqlx::PgConnection;

use crate::{domain::saga::Input, handlers::id, steps};

/// Handles the event.
pub(super) async fn handle(
    connection: &mut PgConnection,
    context: &Context,
    event: OrderCancelled,
) -> Result<(), HandleError> {
    let order_id = id("order_id", &event.order_id)?;
    let input = Input::OrderCancelled;
    steps::advance(connection, context, order_id, input).await
}
