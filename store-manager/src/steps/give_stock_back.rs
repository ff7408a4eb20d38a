//! Gives all the lines of an order back, or asks for attention if one cannot be: its product is gone.

use messaging::{Context, outbox};
use proto::ProductId;
use sqlx::PgConnection;
use tracing::error;

use crate::{
    announcements,
    domain::{
        order::{Failure, Order, OrderState},
        stock::give_back,
    },
    store::stock,
};

/// Announces StockIncreased, or StockIncreaseFailed with the end of the saga. Where the stock was given back, or the order
/// held none, `failure` is the reason unless the order has one.
pub(super) async fn perform(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
    failure: Failure,
) -> sqlx::Result<()> {
    let lines = stock::lock_of_order(connection, order.order_id).await?;
    match give_back(&lines) {
        Ok(changes) => {
            stock::give_back_of_order(connection, order.order_id).await?;
            order.give_stock_back(failure);
            let event = announcements::stock_increased(order.order_id, &changes);
            outbox::append(connection, context, &event).await?;
        }
        Err(gone) => need_attention(connection, context, order, &gone).await?,
    }
    Ok(())
}

async fn need_attention(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
    gone: &[ProductId],
) -> sqlx::Result<()> {
    let product_id = gone.first().copied();
    error!(
        order.id = %order.order_id,
        product.id = ?product_id,
        products = gone.len(),
        "stock cannot be given back, the order needs attention"
    );
    if order.state == OrderState::NeedsAttention {
        return Ok(()); // tried again in vain: that was announced
    }
    order.need_attention(Failure::stock_increase_failed(product_id));
    let event = announcements::stock_increase_failed(order.order_id, gone);
    outbox::append(connection, context, &event).await?;
    super::end_saga(connection, context, order).await
}
