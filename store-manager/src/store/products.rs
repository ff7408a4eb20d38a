//! The table `products`.

use proto::{ProductId, UserId};
use sqlx::{PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

use crate::domain::catalog::Product;

struct Row {
    product_id: ProductId,
    name: String,
    sku: String,
    price_minor: i64,
    currency: String,
    created_at: OffsetDateTime,
}

impl TryFrom<Row> for Product {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            product_id: row.product_id,
            name: row.name,
            sku: row.sku,
            price: super::money(row.price_minor, &row.currency)?,
            created_at: row.created_at,
        })
    }
}

/// Inserts a product; answers when, or `None` if its id or its SKU is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    product: &Product,
) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar!(
        "INSERT INTO store_manager.products (product_id, name, sku, price_minor, currency)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING
         RETURNING created_at",
        product.product_id.0,
        product.name,
        product.sku,
        product.price.amount_minor,
        product.price.currency.code()
    )
    .fetch_optional(connection)
    .await
}

/// The user and the products of an order to be placed, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) user_is_known: bool,
    /// In id order.
    pub(crate) products: Vec<Product>,
}

/// Reads the user and the products of an order, and keeps them from being deleted until the transaction ends.
pub(crate) async fn share(
    connection: &mut PgConnection,
    user_id: UserId,
    product_ids: &[Uuid],
) -> sqlx::Result<Wanted> {
    let rows = sqlx::query_file!("sql/share_user_and_products.sql", user_id.0, product_ids)
        .fetch_all(connection)
        .await?;
    let user_is_known = rows.iter().any(|row| row.user_is_known);
    let known = rows.into_iter().filter_map(|row| {
        Some(Row {
            product_id: row.product_id?,
            name: row.name?,
            sku: row.sku?,
            price_minor: row.price_minor?,
            currency: row.currency?,
            created_at: row.created_at?,
        })
    });
    let products = known.map(Product::try_from).collect::<sqlx::Result<_>>()?;
    Ok(Wanted { user_is_known, products })
}

/// Locks a product to delete it; `false` if there is none.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "SELECT product_id FROM store_manager.products WHERE product_id = $1 FOR UPDATE",
        product_id.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Deletes a product, whose stock is gone already.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM store_manager.products WHERE product_id = $1", product_id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads a product.
pub(crate) async fn find(
    connection: &mut PgConnection,
    product_id: ProductId,
) -> sqlx::Result<Option<Product>> {
    sqlx::query_as!(
        Row,
        r#"SELECT product_id AS "product_id: ProductId", name, sku, price_minor, currency, created_at
           FROM store_manager.products
           WHERE product_id = $1"#,
        product_id.0
    )
    .fetch_optional(connection)
    .await?
    .map(Product::try_from)
    .transpose()
}

/// Lists at most `limit` products after `after` whose name or SKU contains `search`, in id order.
pub(crate) async fn list(
    connection: &mut PgConnection,
    search: &str,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Product>> {
    sqlx::query_as!(
        Row,
        r#"SELECT product_id AS "product_id: ProductId", name, sku, price_minor, currency, created_at
           FROM store_manager.products
           WHERE ($1::uuid IS NULL OR product_id > $1)
               AND ($2 = '' OR strpos(lower(name), lower($2)) > 0 OR strpos(lower(sku), lower($2)) > 0)
           ORDER BY product_id
           LIMIT $3"#,
        after,
        search,
        limit
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Product::try_from)
    .collect()
}
