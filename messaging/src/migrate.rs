//! The migrations of the outbox, the inbox and the requests, which each service runs in its own database.

use sqlx::{PgPool, migrate::Migrator};

use crate::partitions;

/// The migrations in `migrations/messaging`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Brings the schema `messaging` up to date and creates the partitions of the days around today.
///
/// # Errors
/// What the migrator or the database says.
pub async fn run(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await?;
    partitions::ensure(pool).await?;
    Ok(())
}
