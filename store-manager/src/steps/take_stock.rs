//! Takes all the lines of an order out of the stock, or none if one is short.

use proto::store::stock::events::v1::StockEvent;
use runtime::fail_points::{self, road};
use sqlx::PgConnection;

use crate::{
    announcements,
    domain::{
        order::{Failure, Order},
        stock::take,
    },
    store::stock,
};

/// Answers StockDecreased or StockDecreaseFailed.
pub(super) async fn apply(
    connection: &mut PgConnection,
    order: &mut Order,
) -> sqlx::Result<StockEvent> {
    let lines = stock::lock_of_order(connection, order.order_id).await?;
    match take(&lines) {
        Ok(changes) => {
            stock::take_of_order(connection, order.order_id).await?;
            fail_points::pass(road::TAKE_STOCK_TAKEN).await?;
            order.take_stock();
            Ok(announcements::stock_decreased(order, &changes))
        }
        Err(shortage) => {
            let (product_id, required) = (shortage.product_id, shortage.required);
            let failure = Failure::insufficient_stock(product_id, shortage.available, required);
            order.start_cancelling(failure);
            Ok(announcements::stock_decrease_failed(order.order_id, &shortage))
        }
    }
}
