//! One user, and pages of them.

use proto::{
    UserId,
    store::users::v1::{GetUserResponse, ListUsersResponse},
};
use runtime::grpc::page::Page;
use sqlx::PgPool;

use crate::{answers, domain::catalog::UserType, store::users};

/// One user.
pub(crate) async fn get_user(
    pool: &PgPool,
    user_id: UserId,
) -> sqlx::Result<Option<GetUserResponse>> {
    let mut connection = pool.acquire().await?;
    let user = users::find(&mut connection, user_id).await?;
    Ok(user.map(|user| GetUserResponse { user: Some(answers::user(user)) }))
}

/// A page of users, of one type if it is given.
pub(crate) async fn list_users(
    pool: &PgPool,
    user_type: Option<UserType>,
    page: &Page,
) -> sqlx::Result<ListUsersResponse> {
    let mut connection = pool.acquire().await?;
    let rows = users::list(&mut connection, user_type, page.after(), page.limit()).await?;
    let (rows, next_page_token) = page.cut(rows, |user| user.user_id.0);
    let users = rows.into_iter().map(answers::user).collect();
    Ok(ListUsersResponse { users, next_page_token })
}
