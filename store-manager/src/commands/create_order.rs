//! Places an order: the order's row, its lines and OrderCreated in one transaction. Nothing else is waited for.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    Currency, OrderId, ProductId, UserId,
    store::orders::v1::{CreateOrderRequest, CreateOrderResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::{PgConnection, PgPool, types::time::OffsetDateTime};
use tracing::info;
use uuid::Uuid;

use super::{Asked, begin};
use crate::{
    announcements::{self, Unknown},
    answers,
    domain::{
        catalog::{Product, total},
        order::{Order, OrderLine, OrderState},
    },
    metrics::Metrics,
    store::{order_lines, order_refusals, orders, products},
};

/// What is to be ordered.
#[derive(Clone, Debug)]
pub(crate) struct CreateOrder {
    pub(crate) asked: Asked<CreateOrderRequest>,
    pub(crate) user_id: UserId,
    /// Each of another product, in the order of the request.
    pub(crate) lines: Vec<(ProductId, i32)>,
    /// The store's.
    pub(crate) currency: Currency,
}

/// Why no order was placed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateOrderError {
    /// The user is not known.
    #[error("there is no user {0}")]
    UnknownUser(UserId),
    /// A product is not known.
    #[error("there is no product {0}")]
    UnknownProduct(ProductId),
    /// The line's product, counted from 0, is sold in another currency than the store's.
    #[error("line {0} is of a product in another currency than the store's")]
    Currency(usize),
    /// The sum is too large.
    #[error("the total is too large")]
    TotalTooLarge,
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Places an order and announces OrderCreated; or, where the user or a product is not known, announces
/// OrderCreationFailed with the end of the saga.
///
/// The order's id is fixed before the first try, so that a try after a commit with unknown outcome finds it.
pub(crate) async fn create_order(
    pool: &PgPool,
    metrics: &Metrics,
    command: &CreateOrder,
) -> Result<CreateOrderResponse, CreateOrderError> {
    let order_id = OrderId::new();
    retry::until_known(|tried| place_or_refuse(pool, metrics, command, order_id, tried > 0)).await
}

async fn place_or_refuse(
    pool: &PgPool,
    metrics: &Metrics,
    command: &CreateOrder,
    order_id: OrderId,
    repeated: bool,
) -> Result<CreateOrderResponse, CreateOrderError> {
    let result = place(pool, metrics, command, order_id, repeated).await;
    let unknown = match result {
        Err(CreateOrderError::UnknownUser(user_id)) => Unknown::User(user_id),
        Err(CreateOrderError::UnknownProduct(product_id)) => Unknown::Product(product_id),
        result => return result,
    };
    refuse(pool, metrics, command, order_id, unknown).await?;
    result
}

async fn place(
    pool: &PgPool,
    metrics: &Metrics,
    command: &CreateOrder,
    order_id: OrderId,
    repeated: bool,
) -> Result<CreateOrderResponse, CreateOrderError> {
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    if repeated && let Some(answer) = placed(&mut transaction, order_id).await? {
        return Ok(answer);
    }
    let (mut order, lines) = price(&mut transaction, command, order_id).await?;
    let created_at = orders::insert(&mut transaction, &order, &lines).await?;
    (order.created_at, order.updated_at) = (created_at, created_at);
    let event = announcements::order_created(&order, &lines);
    outbox::append(&mut transaction, &Context::start(order_id), &event).await?;
    let answer = CreateOrderResponse { order: Some(answers::order(&order, &lines)) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::CREATE_ORDER).await?;
    metrics.saga_started();
    info!(order.id = %order_id, total = %order.total, "order placed");
    Ok(answer)
}

/// What an earlier try has committed.
async fn placed(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<Option<CreateOrderResponse>> {
    let Some(order) = orders::find(connection, order_id).await? else { return Ok(None) };
    let lines = order_lines::of_order(connection, order_id).await?;
    Ok(Some(CreateOrderResponse { order: Some(answers::order(&order, &lines)) }))
}

/// Reads the user and the products, which stay until the transaction ends, and makes the order of them.
async fn price(
    connection: &mut PgConnection,
    command: &CreateOrder,
    order_id: OrderId,
) -> Result<(Order, Vec<OrderLine>), CreateOrderError> {
    let mut product_ids: Vec<Uuid> =
        command.lines.iter().map(|(product_id, _)| product_id.0).collect();
    product_ids.sort_unstable();
    let wanted = products::share(connection, command.user_id, &product_ids).await?;
    if !wanted.user_is_known {
        return Err(CreateOrderError::UnknownUser(command.user_id));
    }
    let products = wanted.products;
    let mut lines = Vec::with_capacity(command.lines.len());
    for (number, (product_id, quantity)) in command.lines.iter().enumerate() {
        let product = products
            .binary_search_by_key(product_id, |product| product.product_id)
            .map(|index| &products[index])
            .map_err(|_| CreateOrderError::UnknownProduct(*product_id))?;
        if product.price.currency != command.currency {
            return Err(CreateOrderError::Currency(number));
        }
        lines.push(line(product, *quantity));
    }
    lines.sort_unstable_by_key(|line| line.product_id);
    let amounts = lines.iter().map(|line| (line.quantity, line.unit_price_minor));
    let total = total(amounts, command.currency).ok_or(CreateOrderError::TotalTooLarge)?;
    let order = Order {
        order_id,
        user_id: command.user_id,
        state: OrderState::DecreasingStock,
        total,
        stock_taken: false,
        is_paid: false,
        payment_id: None,
        payment_link: None,
        failure: None,
        saga_completed: false,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    };
    Ok((order, lines))
}

fn line(product: &Product, quantity: i32) -> OrderLine {
    OrderLine {
        product_id: product.product_id,
        quantity,
        unit_price_minor: product.price.amount_minor,
        name: product.name.clone(),
        sku: product.sku.clone(),
    }
}

/// Announces, once for an order id and once for a request, that the order cannot be placed. A transaction of its own: the
/// row that is remembered is the lock of the would-be order's events.
async fn refuse(
    pool: &PgPool,
    metrics: &Metrics,
    command: &CreateOrder,
    order_id: OrderId,
    unknown: Unknown,
) -> sqlx::Result<()> {
    let mut transaction = begin(pool).await?;
    let Asked { request_id, .. } = command.asked;
    let hash = command.asked.hash();
    if !order_refusals::remember(&mut transaction, order_id, request_id, hash).await? {
        return Ok(());
    }
    let context = Context::start(order_id);
    let failed = announcements::order_creation_failed(order_id, command.user_id, unknown);
    outbox::append(&mut transaction, &context, &failed).await?;
    let completed = announcements::saga_refused(order_id, unknown);
    outbox::append(&mut transaction, &context, &completed).await?;
    postgres::commit(transaction, road::REFUSE_ORDER).await?;
    metrics.saga_started();
    info!(order.id = %order_id, ?unknown, "order refused");
    Ok(())
}
