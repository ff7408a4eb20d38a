//! One product, and pages of them.

use proto::{
    ProductId,
    store::catalog::v1::{GetProductResponse, ListProductsResponse},
};
use runtime::grpc::page::Page;
use sqlx::PgPool;

use crate::{answers, store::products};

/// One product.
pub(crate) async fn get_product(
    pool: &PgPool,
    product_id: ProductId,
) -> sqlx::Result<Option<GetProductResponse>> {
    let mut connection = pool.acquire().await?;
    let product = products::find(&mut connection, product_id).await?;
    Ok(product.map(|product| GetProductResponse { product: Some(answers::product(product)) }))
}

/// A page of products whose name or SKU contains `search`.
pub(crate) async fn list_products(
    pool: &PgPool,
    search: &str,
    page: &Page,
) -> sqlx::Result<ListProductsResponse> {
    let mut connection = pool.acquire().await?;
    let rows = products::list(&mut connection, search, page.after(), page.limit()).await?;
    let (rows, next_page_token) = page.cut(rows, |product| product.product_id.0);
    let products = rows.into_iter().map(answers::product).collect();
    Ok(ListProductsResponse { products, next_page_token })
}
