//! Gives all the lines of an order back, or asks for attention if one cannot be: its product is gone.

use proto::ProductId;
use runtime::fail_points::{self, road};
use sqlx::PgConnection;
use tracing::error;

use super::Announcement;
use crate::{
    announcements,
    domain::{
        order::{Failure, Order, OrderState},
        stock::give_back,
    },
    store::stock,
};

/// Answers StockIncreased, or StockIncreaseFailed with the end of the saga. Where the stock is given back, `failure` is the
/// reason unless the order has one.
pub(super) async fn apply(
    connection: &mut PgConnection,
    order: &mut Order,
    failure: Failure,
) -> sqlx::Result<Vec<Announcement>> {
    let lines = stock::lock_of_order(connection, order.order_id).await?;
    match give_back(&lines) {
        Ok(changes) => {
            stock::give_back_of_order(connection, order.order_id).await?;
            fail_points::pass(road::GIVE_STOCK_BACK_GIVEN).await?;
            order.give_stock_back(failure);
            Ok(vec![announcements::stock_increased(order.order_id, &changes).into()])
        }
        Err(gone) => Ok(need_attention(order, &gone)),
    }
}

fn need_attention(order: &mut Order, gone: &[ProductId]) -> Vec<Announcement> {
    let product_id = gone.first().copied();
    error!(
        order.id = %order.order_id,
        product.id = ?product_id,
        products = gone.len(),
        "stock cannot be given back, the order needs attention"
    );
    if order.state == OrderState::NeedsAttention {
        return Vec::new(); // tried again in vain: that was announced
    }
    order.need_attention(Failure::stock_increase_failed(product_id));
    let failed = announcements::stock_increase_failed(order.order_id, gone);
    std::iter::once(failed.into()).chain(super::end_saga(order)).collect()
}
