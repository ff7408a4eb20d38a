//! Removes a product that no open order has a line of.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    ProductId,
    store::catalog::v1::{DeleteProductRequest, DeleteProductResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::PgPool;
use tracing::info;

use super::{Asked, begin};
use crate::{
    announcements,
    store::{order_lines, products, stock},
};

/// Which product is to go.
#[derive(Clone, Debug)]
pub(crate) struct DeleteProduct {
    /// Safe to repeat.
    pub(crate) asked: Asked<DeleteProductRequest>,
    pub(crate) product_id: ProductId,
}

/// Why a product was not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteProductError {
    /// The product is not known.
    #[error("there is no product {0}")]
    NoSuchProduct(ProductId),
    /// An order that is neither cancelled nor paid has a line of it.
    #[error("an order that is neither cancelled nor paid has product {0}")]
    InUse(ProductId),
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Removes a product with its stock and announces ProductDeleted.
///
/// Orders are placed under a shared lock of their products, so what is looked for after the lock is all there is.
pub(crate) async fn delete_product(
    pool: &PgPool,
    command: &DeleteProduct,
) -> Result<DeleteProductResponse, DeleteProductError> {
    retry::until_known(|_| attempt(pool, command)).await
}

async fn attempt(
    pool: &PgPool,
    command: &DeleteProduct,
) -> Result<DeleteProductResponse, DeleteProductError> {
    let product_id = command.product_id;
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    if !products::lock(&mut transaction, product_id).await? {
        return Err(DeleteProductError::NoSuchProduct(product_id));
    }
    if order_lines::are_open_of_product(&mut transaction, product_id).await? {
        return Err(DeleteProductError::InUse(product_id));
    }
    stock::delete(&mut transaction, product_id).await?;
    products::delete(&mut transaction, product_id).await?;
    let event = announcements::product_deleted(product_id);
    outbox::append(&mut transaction, &Context::start(product_id), &event).await?;
    let answer = DeleteProductResponse {};
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::DELETE_PRODUCT).await?;
    info!(product.id = %product_id, "product removed");
    Ok(answer)
}
