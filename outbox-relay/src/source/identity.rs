//! Which table a connection leads to, and how far its numbers have come.

use sqlx::PgConnection;

use crate::core::progress::Identity;

/// Which table this is, and whether anything of it has ever been published; nothing if `init` has not been here.
pub(crate) async fn read(
    connection: &mut PgConnection,
) -> Result<Option<(Identity, bool)>, sqlx::Error> {
    let row = sqlx::query_file!("sql/read_identity.sql").fetch_optional(connection).await?;
    Ok(row.map(|row| {
        let identity = Identity {
            system: row.system.cast_unsigned(),
            timeline: row.timeline.cast_unsigned(),
            database: u32::try_from(row.database).unwrap_or_default(),
            epoch: row.epoch,
        };
        (identity, row.published)
    }))
}

/// The last number that was drawn, 0 if none was.
pub(crate) async fn last_value(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS "last!"
        FROM messaging.outbox_sequence"#
    )
    .fetch_one(connection)
    .await
}
