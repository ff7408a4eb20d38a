//! StockDecreaseFailed: cancels an order of which a line was short.

use messaging::{Context, HandleError};
use proto::store::stock::events::v1::StockDecreaseFailed;
use sqlx::PgConnection;

use crate::{domain::saga::Input, handlers::id, steps};

/// Handles the event.
pub(super) async fn handle(
    connection: &mut PgConnection,
    context: &Context,
    event: StockDecreaseFailed,
) -> Result<(), HandleError> {
    let order_id = id("order_id", &event.order_id)?;
    let input = Input::StockDecreaseFailed;
    steps::advance(connection, context, order_id, input).await
}
