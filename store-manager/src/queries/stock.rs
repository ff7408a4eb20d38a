//! One product's stock, and pages of them.

use proto::{
    ProductId,
    store::stock::v1::{GetStockResponse, ListStockResponse},
};
use runtime::grpc::page::Page;
use sqlx::PgPool;

use crate::{answers, store::stock};

/// One product's stock.
pub(crate) async fn get_stock(
    pool: &PgPool,
    product_id: ProductId,
) -> sqlx::Result<Option<GetStockResponse>> {
    let mut connection = pool.acquire().await?;
    let stock = stock::find(&mut connection, product_id).await?;
    Ok(stock.map(|stock| GetStockResponse { stock: Some(answers::stock(stock)) }))
}

/// A page of stock, of products of which fewer than `below` are on hand if it is given.
pub(crate) async fn list_stock(
    pool: &PgPool,
    below: Option<i64>,
    page: &Page,
) -> sqlx::Result<ListStockResponse> {
    let mut connection = pool.acquire().await?;
    let rows = stock::list(&mut connection, below, page.after(), page.limit()).await?;
    let (rows, next_page_token) = page.cut(rows, |stock| stock.product_id.0);
    let stock = rows.into_iter().map(answers::stock).collect();
    Ok(ListStockResponse { stock, next_page_token })
}
