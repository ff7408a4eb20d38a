//! Changes the quantity on hand of a product by a difference.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    ProductId,
    store::stock::v1::{AdjustStockRequest, AdjustStockResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::PgPool;
use tracing::info;

use super::{Asked, begin};
use crate::{
    announcements, answers,
    domain::{catalog::adjusted, stock::Change},
    store::stock,
};

/// By how much the stock of which product changes.
#[derive(Clone, Debug)]
pub(crate) struct AdjustStock {
    /// Safe to repeat.
    pub(crate) asked: Asked<AdjustStockRequest>,
    pub(crate) product_id: ProductId,
    pub(crate) quantity_delta: i64,
}

/// Why stock was not adjusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdjustStockError {
    /// The product is not known.
    #[error("there is no product {0}")]
    NoSuchProduct(ProductId),
    /// It would leave its range.
    #[error("a stock of {quantity} cannot be changed by {quantity_delta}")]
    OutOfRange {
        /// Of which product.
        product_id: ProductId,
        /// What is on hand.
        quantity: i64,
        /// The difference.
        quantity_delta: i64,
    },
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Adjusts the stock and announces StockSet.
pub(crate) async fn adjust_stock(
    pool: &PgPool,
    command: &AdjustStock,
) -> Result<AdjustStockResponse, AdjustStockError> {
    retry::until_known(|_| attempt(pool, command)).await
}

async fn attempt(
    pool: &PgPool,
    command: &AdjustStock,
) -> Result<AdjustStockResponse, AdjustStockError> {
    let &AdjustStock { product_id, quantity_delta, .. } = command;
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    let mut stock = stock::lock(&mut transaction, product_id)
        .await?
        .ok_or(AdjustStockError::NoSuchProduct(product_id))?;
    let quantity = stock.quantity;
    stock.quantity = adjusted(quantity, quantity_delta).ok_or(AdjustStockError::OutOfRange {
        product_id,
        quantity,
        quantity_delta,
    })?;
    stock::write(&mut transaction, &mut stock).await?;
    let change = Change {
        product_id,
        quantity: quantity_delta,
        quantity_after: stock.quantity,
        version_after: stock.version,
    };
    let event = announcements::stock_set(&change);
    outbox::append(&mut transaction, &Context::start(product_id), &event).await?;
    let answer = AdjustStockResponse { stock: Some(answers::stock(stock)) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::ADJUST_STOCK).await?;
    info!(product.id = %product_id, quantity_delta, "stock adjusted");
    Ok(answer)
}
