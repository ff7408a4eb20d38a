//! The steps of the saga carried out: what [`crate::domain`] decides is done in the caller's transaction. Handlers and the command
//! `cancel_order` both end here.

use messaging::{Context, HandleError, outbox};
use proto::OrderId;
use runtime::fail_points::{self, road};
use sqlx::PgConnection;
use tracing::{debug, error, info};

use crate::{
    domain::{
        order::Order,
        saga::{Input, Outcome, Situation, Step},
        step::{Announcement, StockMove},
    },
    store::{orders, stock},
};

/// Locks the order an event is about, decides what the event means, and does it.
///
/// # Errors
/// [`HandleError::Reject`] for an unknown order and for what is impossible.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    context: &Context,
    order_id: OrderId,
    input: Input,
) -> Result<(), HandleError> {
    let mut order = orders::lock(connection, order_id)
        .await?
        .ok_or_else(|| HandleError::Reject(format!("there is no order {order_id}")))?;
    let situation = Situation::from(&order);
    match situation.decide(input.clone()) {
        Outcome::Applies(step) | Outcome::TooLate(step) => {
            Ok(perform(connection, context, &mut order, step).await?)
        }
        Outcome::AlreadyDone => {
            debug!(order.id = %order_id, ?input, "nothing follows");
            Ok(())
        }
        Outcome::Impossible => Err(HandleError::Reject(format!(
            "order {order_id}: {input:?} is impossible in {situation:?}"
        ))),
    }
}

/// Does one step for a locked order: lock its stock if it is about that, decide, write, announce.
pub(crate) async fn perform(
    connection: &mut PgConnection,
    context: &Context,
    order: &mut Order,
    step: Step,
) -> sqlx::Result<()> {
    let before = order.state;
    let lines = if step.is_about_stock() {
        stock::lock_of_order(connection, order.order_id).await?
    } else {
        Vec::new()
    };
    let effect = step.perform(order, &lines);
    move_stock(connection, order, &effect.stock).await?;
    orders::write(connection, order, before).await?;
    for announcement in &effect.announcements {
        match announcement {
            Announcement::Order(event) => outbox::append(connection, context, event).await?,
            Announcement::Stock(event) => outbox::append(connection, context, event).await?,
        };
    }
    if order.state != before {
        info!(order.id = %order.order_id, from = ?before, to = ?order.state, "order moved");
    }
    Ok(())
}

async fn move_stock(
    connection: &mut PgConnection,
    order: &Order,
    stock: &StockMove,
) -> sqlx::Result<()> {
    match stock {
        StockMove::Stays => Ok(()),
        StockMove::Taken(_) => {
            stock::take_of_order(connection, order.order_id).await?;
            Ok(fail_points::pass(road::TAKE_STOCK_TAKEN).await?)
        }
        StockMove::CannotBeTaken => Ok(fail_points::pass(road::TAKE_STOCK_SHORT).await?),
        StockMove::GivenBack(_) => {
            stock::give_back_of_order(connection, order.order_id).await?;
            Ok(fail_points::pass(road::GIVE_STOCK_BACK_GIVEN).await?)
        }
        StockMove::CannotGoBack(gone) => {
            error!(
                order.id = %order.order_id,
                product.id = ?gone.first(),
                products = gone.len(),
                "stock cannot be given back, the order needs attention"
            );
            Ok(fail_points::pass(road::GIVE_STOCK_BACK_GONE).await?)
        }
    }
}
