//! Removes a user who has no orders.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    UserId,
    store::users::v1::{DeleteUserRequest, DeleteUserResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::PgPool;
use tracing::info;

use super::{Asked, begin};
use crate::{
    announcements,
    store::{orders, users},
};

/// Which user is to go.
#[derive(Clone, Debug)]
pub(crate) struct DeleteUser {
    /// Safe to repeat.
    pub(crate) asked: Asked<DeleteUserRequest>,
    pub(crate) user_id: UserId,
}

/// Why a user was not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteUserError {
    /// The user is not known.
    #[error("there is no user {0}")]
    NoSuchUser(UserId),
    /// The user has orders.
    #[error("user {0} has orders")]
    HasOrders(UserId),
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Removes a user and announces UserDeleted.
///
/// Orders are placed under a shared lock of their user, so what is looked for after the lock is all there is.
pub(crate) async fn delete_user(
    pool: &PgPool,
    command: &DeleteUser,
) -> Result<DeleteUserResponse, DeleteUserError> {
    retry::until_known(|_| attempt(pool, command)).await
}

async fn attempt(
    pool: &PgPool,
    command: &DeleteUser,
) -> Result<DeleteUserResponse, DeleteUserError> {
    let user_id = command.user_id;
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    if !users::lock(&mut transaction, user_id).await? {
        return Err(DeleteUserError::NoSuchUser(user_id));
    }
    if orders::exist_of_user(&mut transaction, user_id).await? {
        return Err(DeleteUserError::HasOrders(user_id));
    }
    users::delete(&mut transaction, user_id).await?;
    let event = announcements::user_deleted(user_id);
    outbox::append(&mut transaction, &Context::start(user_id), &event).await?;
    let answer = DeleteUserResponse {};
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::DELETE_USER).await?;
    info!(user.id = %user_id, "user removed");
    Ok(answer)
}
