//! The table `order_lines`.

use proto::{OrderId, ProductId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::order::OrderLine;

/// Reads the lines of an order, in the order of the products' ids.
pub(crate) async fn of_order(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<Vec<OrderLine>> {
    sqlx::query_as!(
        OrderLine,
        r#"SELECT product_id AS "product_id: ProductId", quantity, unit_price_minor, name, sku
           FROM store_manager.order_lines
           WHERE order_id = $1
           ORDER BY product_id"#,
        order_id.0
    )
    .fetch_all(connection)
    .await
}

/// Reads the lines of several orders, in the order of the orders' and the products' ids.
pub(crate) async fn of_orders(
    connection: &mut PgConnection,
    order_ids: &[Uuid],
) -> sqlx::Result<Vec<(OrderId, OrderLine)>> {
    let rows = sqlx::query!(
        r#"SELECT order_id AS "order_id: OrderId", product_id AS "product_id: ProductId", quantity, unit_price_minor,
               name, sku
           FROM store_manager.order_lines
           WHERE order_id = ANY($1)
           ORDER BY order_id, product_id"#,
        order_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let line = OrderLine {
                product_id: row.product_id,
                quantity: row.quantity,
                unit_price_minor: row.unit_price_minor,
                name: row.name,
                sku: row.sku,
            };
            (row.order_id, line)
        })
        .collect())
}

/// Whether an order that is neither cancelled nor paid has a line of a product.
pub(crate) async fn are_open_of_product(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM store_manager.order_lines
               JOIN store_manager.orders USING (order_id)
               WHERE order_lines.product_id = $1 AND NOT (orders.state = 'CANCELLED' OR orders.is_paid)
           ) AS "exist!""#,
        product_id.0
    )
    .fetch_one(connection)
    .await
}
