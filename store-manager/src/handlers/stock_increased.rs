//! StockIncreased: cancels an order whose stock is given back.

use messaging::{Context, HandleError};
use proto::store::stock::events::v1::StockIncreased;
use sqlx::PgConnection;

use crate::{domain::saga::Input, handlers::id, steps};

/// Handles the event.
pub(super) async fn handle(
    connection: &mut PgConnection,
    context: &Context,
    event: StockIncreased,
) -> Result<(), HandleError> {
    let order_id = id("order_id", &event.order_id)?;
    let input = Input::StockIncreased;
    steps::advance(connection, context, order_id, input).await
}
