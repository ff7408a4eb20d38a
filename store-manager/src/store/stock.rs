//! The table `stock`.

use proto::{OrderId, ProductId};
use sqlx::{PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

use crate::domain::{catalog::Stock, stock::Line};

struct Row {
    product_id: ProductId,
    quantity: i64,
    version: i64,
    name: String,
    sku: String,
    price_minor: i64,
    currency: String,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for Stock {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            product_id: row.product_id,
            quantity: row.quantity,
            version: row.version,
            name: row.name,
            sku: row.sku,
            price: super::money(row.price_minor, &row.currency)?,
            updated_at: row.updated_at,
        })
    }
}

/// Inserts the stock of a new product: nothing on hand.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO store_manager.stock (product_id, quantity) VALUES ($1, 0)",
        product_id.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the stock of all lines of an order, in id order.
pub(crate) async fn lock_of_order(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<Vec<Line>> {
    sqlx::query_file_as!(Line, "sql/lock_stock_of_order.sql", order_id.0)
        .fetch_all(connection)
        .await
}

/// Takes all the lines of an order out of the locked stock.
pub(crate) async fn take_of_order(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE store_manager.stock
         SET quantity = stock.quantity - line.quantity, version = stock.version + 1, updated_at = clock_timestamp()
         FROM store_manager.order_lines AS line
         WHERE line.order_id = $1 AND stock.product_id = line.product_id",
        order_id.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives all the lines of an order back to the locked stock.
pub(crate) async fn give_back_of_order(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE store_manager.stock
         SET quantity = stock.quantity + line.quantity, version = stock.version + 1, updated_at = clock_timestamp()
         FROM store_manager.order_lines AS line
         WHERE line.order_id = $1 AND stock.product_id = line.product_id",
        order_id.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the stock of a product.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<Option<Stock>> {
    sqlx::query_as!(
        Row,
        r#"SELECT product_id AS "product_id: ProductId", quantity, version, name, sku, price_minor, currency, updated_at
           FROM store_manager.stock
           JOIN store_manager.products USING (product_id)
           WHERE product_id = $1
           FOR NO KEY UPDATE OF stock"#,
        product_id.0
    )
    .fetch_optional(connection)
    .await?
    .map(Stock::try_from)
    .transpose()
}

/// Writes the quantity of a locked stock.
pub(crate) async fn write(connection: &mut PgConnection, stock: &mut Stock) -> sqlx::Result<()> {
    let row = sqlx::query!(
        "UPDATE store_manager.stock
         SET quantity = $2, version = version + 1, updated_at = clock_timestamp()
         WHERE product_id = $1
         RETURNING version, updated_at",
        stock.product_id.0,
        stock.quantity
    )
    .fetch_one(connection)
    .await?;
    stock.version = row.version;
    stock.updated_at = row.updated_at;
    Ok(())
}

/// Deletes the stock of a product.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM store_manager.stock WHERE product_id = $1", product_id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads the stock of a product.
pub(crate) async fn find(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<Option<Stock>> {
    sqlx::query_as!(
        Row,
        r#"SELECT product_id AS "product_id: ProductId", quantity, version, name, sku, price_minor, currency, updated_at
           FROM store_manager.stock
           JOIN store_manager.products USING (product_id)
           WHERE product_id = $1"#,
        product_id.0
    )
    .fetch_optional(connection)
    .await?
    .map(Stock::try_from)
    .transpose()
}

/// Lists at most `limit` stocks after `after`, those of fewer than `below` if given, in id order.
pub(crate) async fn list(
    connection: &mut PgConnection,
    below: Option<i64>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Stock>> {
    sqlx::query_as!(
        Row,
        r#"SELECT product_id AS "product_id: ProductId", quantity, version, name, sku, price_minor, currency, updated_at
           FROM store_manager.stock
           JOIN store_manager.products USING (product_id)
           WHERE ($1::uuid IS NULL OR product_id > $1) AND ($2::bigint IS NULL OR quantity < $2)
           ORDER BY product_id
           LIMIT $3"#,
        after,
        below,
        limit
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Stock::try_from)
    .collect()
}
