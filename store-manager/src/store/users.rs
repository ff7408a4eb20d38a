//! The table `users`.

use proto::UserId;
use sqlx::{PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

use crate::domain::catalog::{User, UserType};

/// Inserts a user; answers when, or `None` if the id or the address is taken.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    user: &User,
) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar!(
        "INSERT INTO store_manager.users (user_id, name, email, type)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING
         RETURNING created_at",
        user.user_id.0,
        user.name,
        user.email,
        user.user_type as UserType
    )
    .fetch_optional(connection)
    .await
}

/// Locks a user to delete it; `false` if there is none.
pub(crate) async fn lock(connection: &mut PgConnection, user_id: UserId) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "SELECT user_id FROM store_manager.users WHERE user_id = $1 FOR UPDATE",
        user_id.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Deletes a user.
pub(crate) async fn delete(connection: &mut PgConnection, user_id: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM store_manager.users WHERE user_id = $1", user_id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads a user.
pub(crate) async fn find(
    connection: &mut PgConnection,
    user_id: UserId,
) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT user_id AS "user_id: UserId", name, email, type AS "user_type: UserType", created_at
           FROM store_manager.users
           WHERE user_id = $1"#,
        user_id.0
    )
    .fetch_optional(connection)
    .await
}

/// Lists at most `limit` users after `after`, of one type if `user_type` is given, in id order.
pub(crate) async fn list(
    connection: &mut PgConnection,
    user_type: Option<UserType>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"SELECT user_id AS "user_id: UserId", name, email, type AS "user_type: UserType", created_at
           FROM store_manager.users
           WHERE ($1::uuid IS NULL OR user_id > $1) AND ($2::text IS NULL OR type = $2)
           ORDER BY user_id
           LIMIT $3"#,
        after,
        user_type as Option<UserType>,
        limit
    )
    .fetch_all(connection)
    .await
}
