//! The inbox: which events this service has handled, so that a record delivered again changes nothing.

use sqlx::PgConnection;
use uuid::Uuid;

/// Remembers `event_id` in the caller's transaction; `false` if it was remembered before.
///
/// Waits for another transaction that is just handling the same event. The consumer calls this, handlers do not.
///
/// # Errors
/// What the database says.
pub async fn remember(connection: &mut PgConnection, event_id: Uuid) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO messaging.inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING",
        event_id
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
