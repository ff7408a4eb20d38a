//! The table `order_states`: each state an order has reached. Rows are inserted with the change of the order's row.

use proto::{OrderId, ProductId};
use sqlx::{PgConnection, types::time::OffsetDateTime};

use crate::domain::order::{Failure, FailureReason, OrderState};

/// A state an order has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReachedState {
    /// Rises within an order.
    pub(crate) state_id: i64,
    pub(crate) state: OrderState,
    pub(crate) reached_at: OffsetDateTime,
    pub(crate) failure: Option<Failure>,
}

/// Reads the states an order has reached after the one with `after`, 0 for all.
pub(crate) async fn of_order_after(
    connection: &mut PgConnection,
    order_id: OrderId,
    after: i64,
) -> sqlx::Result<Vec<ReachedState>> {
    let rows = sqlx::query!(
        r#"SELECT state_id, state AS "state: OrderState", reached_at, reason AS "reason: FailureReason", detail,
               product_id AS "product_id: ProductId"
           FROM store_manager.order_states
           WHERE order_id = $1 AND state_id > $2
           ORDER BY state_id"#,
        order_id.0,
        after
    )
    .fetch_all(connection)
    .await?;
    let reached = rows.into_iter().map(|row| ReachedState {
        state_id: row.state_id,
        state: row.state,
        reached_at: row.reached_at,
        failure: row.reason.map(|reason| Failure {
            reason,
            detail: row.detail.unwrap_or_default(),
            product_id: row.product_id,
        }),
    });
    Ok(reached.collect())
}
