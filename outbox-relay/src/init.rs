//! Creates the outbox in a database: by the very migration files that the services of this repository use.

use sqlx::{AssertSqlSafe, Connection, Executor};
use thiserror::Error;

use crate::config::Hidden;
use crate::source::connecting::connect;

/// The SQL that `init` runs and `init --print` prints.
#[must_use]
pub fn outbox_sql() -> String {
    [
        include_str!("../../migrations/messaging/0001_create_outbox.sql"),
        include_str!("../../migrations/messaging/0004_create_outbox_relay.sql"),
    ]
    .join("\n")
}

/// Why the table is not there.
#[derive(Debug, Error)]
pub enum InitError {
    /// There is no connection.
    #[error("{0}")]
    Connect(String),
    /// The database refuses.
    #[error("the outbox cannot be created")]
    Database(#[from] sqlx::Error),
}

/// Creates the outbox unless there is one. Answers whether it did.
pub async fn init(database_url: &Hidden) -> Result<bool, InitError> {
    let connected = connect(database_url.expose(), |options| options).await;
    let mut connection = connected.map_err(|fault| InitError::Connect(fault.to_string()))?;
    let mut transaction = connection.begin().await?;
    // Two at once would both find nothing.
    transaction.execute("SELECT pg_advisory_xact_lock(hashtext('outbox-relay init'))").await?;
    let present = sqlx::query_scalar!(
        r#"SELECT to_regclass('messaging.outbox_command') IS NOT NULL AS "present!""#
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !present {
        sqlx::raw_sql(AssertSqlSafe(outbox_sql())).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    connection.close().await?;
    Ok(!present)
}
