//! The table `seeds`.

use sqlx::PgConnection;

/// Notes that the seed data `name` is loaded; `false` if it was before.
pub(crate) async fn remember(connection: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO store_manager.seeds (name) VALUES ($1) ON CONFLICT DO NOTHING",
        name
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
