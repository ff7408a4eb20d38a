//! Cancels an order that is not paid yet, at once where nothing was done for it; otherwise payments decides.

use messaging::{
    Context,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    OrderId,
    store::orders::v1::{CancelOrderRequest, CancelOrderResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::PgPool;

use super::{Asked, begin};
use crate::{
    answers,
    domain::saga::{Input, Outcome, Situation},
    steps,
    store::{order_lines, orders},
    watches::Watches,
};

/// Which order is to be cancelled.
#[derive(Clone, Debug)]
pub(crate) struct CancelOrder {
    pub(crate) asked: Asked<CancelOrderRequest>,
    pub(crate) order_id: OrderId,
}

/// Why an order was not cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CancelOrderError {
    /// The order is not known.
    #[error("there is no order {0}")]
    NoSuchOrder(OrderId),
    /// It is paid.
    #[error("order {0} is paid")]
    AlreadyPaid(OrderId),
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Cancels an order, or asks payments to, or gives back the stock of one that needs attention.
pub(crate) async fn cancel_order(
    pool: &PgPool,
    watches: &Watches,
    command: &CancelOrder,
) -> Result<CancelOrderResponse, CancelOrderError> {
    let answer = retry::until_known(|_| attempt(pool, command)).await;
    watches.wake(command.order_id);
    answer
}

async fn attempt(
    pool: &PgPool,
    command: &CancelOrder,
) -> Result<CancelOrderResponse, CancelOrderError> {
    let order_id = command.order_id;
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    let mut order = orders::lock(&mut transaction, order_id)
        .await?
        .ok_or(CancelOrderError::NoSuchOrder(order_id))?;
    match Situation::from(&order).decide(Input::CancelOrder) {
        Outcome::Applies(step) | Outcome::TooLate(step) => {
            let context = Context::start(order_id);
            steps::perform(&mut transaction, &context, &mut order, step).await?;
        }
        Outcome::AlreadyDone => {}
        Outcome::Impossible => return Err(CancelOrderError::AlreadyPaid(order_id)),
    }
    let lines = order_lines::of_order(&mut transaction, order_id).await?;
    let answer = CancelOrderResponse { order: Some(answers::order(&order, &lines)) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::CANCEL_ORDER).await?;
    Ok(answer)
}
