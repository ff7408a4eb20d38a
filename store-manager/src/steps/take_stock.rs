//! Takes all the lines of an order out of the stock, or none if one is short.

use messaging::{Context, outbox};
use sqlx::PgConnection;

use crate::{
    announcements,
    domain::{
        order::{Failure, Order},
        stock::take,
    },
    store::stock,
};

/// Announces StockDecreased or StockDecreaseFailed.
pub(super) async fn perform(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
) -> sqlx::Result<()> {
    let lines = stock::lock_of_order(connection, order.order_id).await?;
    let event = match take(&lines) {
        Ok(changes) => {
            stock::take_of_order(connection, order.order_id).await?;
            order.take_stock();
            announcements::stock_decreased(order, &changes)
        }
        Err(shortage) => {
            let (product_id, required) = (shortage.product_id, shortage.required);
            let failure = Failure::insufficient_stock(product_id, shortage.available, required);
            order.start_cancelling(failure);
            announcements::stock_decrease_failed(order.order_id, &shortage)
        }
    };
    outbox::append(connection, context, &event).await?;
    Ok(())
}
