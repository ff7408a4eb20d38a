//! The table `order_refusals`: orders that could not be placed, so that this is announced once.

use proto::OrderId;
use sqlx::{PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

/// Remembers a refusal; `false` if the order, or the same request, has been refused before.
pub(crate) async fn remember(
    connection: &mut PgConnection,
    order_id: OrderId,
    request_id: Option<Uuid>,
    request_hash: Option<Vec<u8>>,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO store_manager.order_refusals (order_id, request_id, request_hash)
         VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        order_id.0,
        request_id,
        request_hash
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Forgets refusals before `cutoff`, at most 10 000 at once.
pub(crate) async fn forget_before(
    connection: &mut PgConnection,
    cutoff: OffsetDateTime,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM store_manager.order_refusals
         WHERE order_id IN (
             SELECT order_id FROM store_manager.order_refusals
             WHERE refused_at < $1
             ORDER BY refused_at
             LIMIT 10000
         )",
        cutoff
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
