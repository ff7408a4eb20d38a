//! Sets the quantity on hand of a product.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    ProductId,
    store::stock::v1::{SetStockRequest, SetStockResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::PgPool;
use tracing::info;

use super::{Asked, begin};
use crate::{announcements, answers, domain::stock::Change, store::stock};

/// What is on hand of which product.
#[derive(Clone, Debug)]
pub(crate) struct SetStock {
    pub(crate) asked: Asked<SetStockRequest>,
    pub(crate) product_id: ProductId,
    pub(crate) quantity: i64,
}

/// Why stock was not set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetStockError {
    /// The product is not known.
    #[error("there is no product {0}")]
    NoSuchProduct(ProductId),
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Sets the stock and announces StockSet; a quantity that it has already changes nothing.
pub(crate) async fn set_stock(
    pool: &PgPool,
    command: &SetStock,
) -> Result<SetStockResponse, SetStockError> {
    retry::until_known(|_| attempt(pool, command)).await
}

async fn attempt(pool: &PgPool, command: &SetStock) -> Result<SetStockResponse, SetStockError> {
    let product_id = command.product_id;
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    let mut stock = stock::lock(&mut transaction, product_id)
        .await?
        .ok_or(SetStockError::NoSuchProduct(product_id))?;
    let quantity = command.quantity - stock.quantity;
    if quantity != 0 {
        stock.quantity = command.quantity;
        stock::write(&mut transaction, &mut stock).await?;
        let (quantity_after, version_after) = (stock.quantity, stock.version);
        let change = Change { product_id, quantity, quantity_after, version_after };
        let event = announcements::stock_set(&change);
        outbox::append(&mut transaction, &Context::start(product_id), &event).await?;
    }
    let answer = SetStockResponse { stock: Some(answers::stock(stock)) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::SET_STOCK).await?;
    info!(product.id = %product_id, quantity = command.quantity, "stock set");
    Ok(answer)
}
