//! Adds a product, with nothing on hand.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    Money, ProductId,
    store::catalog::v1::{CreateProductRequest, CreateProductResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::{PgPool, types::time::OffsetDateTime};
use tracing::info;

use super::{Asked, begin};
use crate::{
    announcements, answers,
    domain::catalog::Product,
    store::{products, stock},
};

/// What is to be sold.
#[derive(Clone, Debug)]
pub(crate) struct CreateProduct {
    /// Safe to repeat.
    pub(crate) asked: Asked<CreateProductRequest>,
    pub(crate) name: String,
    pub(crate) sku: String,
    pub(crate) price: Money,
}

/// Why a product was not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateProductError {
    /// Another product has this SKU.
    #[error("the SKU {0} is taken")]
    SkuTaken(String),
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Adds a product and announces ProductCreated.
pub(crate) async fn create_product(
    pool: &PgPool,
    command: &CreateProduct,
) -> Result<CreateProductResponse, CreateProductError> {
    retry::until_known(|_| attempt(pool, command)).await
}

async fn attempt(
    pool: &PgPool,
    command: &CreateProduct,
) -> Result<CreateProductResponse, CreateProductError> {
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    let product_id = ProductId::new();
    let mut product = Product {
        product_id,
        name: command.name.clone(),
        sku: command.sku.clone(),
        price: command.price,
        created_at: OffsetDateTime::UNIX_EPOCH,
    };
    product.created_at = products::insert(&mut transaction, &product)
        .await?
        .ok_or_else(|| CreateProductError::SkuTaken(command.sku.clone()))?;
    stock::insert(&mut transaction, product_id).await?;
    let event = announcements::product_created(&product);
    outbox::append(&mut transaction, &Context::start(product_id), &event).await?;
    let answer = CreateProductResponse { product: Some(answers::product(product)) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::CREATE_PRODUCT).await?;
    info!(product.id = %product_id, "product added");
    Ok(answer)
}
