//! Adds a user.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    UserId,
    store::users::v1::{CreateUserRequest, CreateUserResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::{PgPool, types::time::OffsetDateTime};
use tracing::info;

use super::{Asked, begin};
use crate::{
    announcements, answers,
    domain::catalog::{User, UserType},
    store::users,
};

/// Who is to be known.
#[derive(Clone, Debug)]
pub(crate) struct CreateUser {
    /// Safe to repeat.
    pub(crate) asked: Asked<CreateUserRequest>,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) user_type: UserType,
}

/// Why a user was not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateUserError {
    /// Another user has this address.
    #[error("the e-mail address is taken")]
    EmailTaken(String),
    /// The request was not claimed.
    #[error("the request was not claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Adds a user and announces UserCreated.
pub(crate) async fn create_user(
    pool: &PgPool,
    command: &CreateUser,
) -> Result<CreateUserResponse, CreateUserError> {
    retry::until_known(|_| attempt(pool, command)).await
}

async fn attempt(
    pool: &PgPool,
    command: &CreateUser,
) -> Result<CreateUserResponse, CreateUserError> {
    let mut transaction = begin(pool).await?;
    let ticket = match command.asked.claim(&mut transaction).await? {
        Claim::Answered(answer) => return Ok(answer),
        Claim::New(ticket) => ticket,
    };
    let user_id = UserId::new();
    let mut user = User {
        user_id,
        name: command.name.clone(),
        email: command.email.clone(),
        user_type: command.user_type,
        created_at: OffsetDateTime::UNIX_EPOCH,
    };
    user.created_at = users::insert(&mut transaction, &user)
        .await?
        .ok_or_else(|| CreateUserError::EmailTaken(command.email.clone()))?;
    let event = announcements::user_created(&user);
    outbox::append(&mut transaction, &Context::start(user_id), &event).await?;
    let answer = CreateUserResponse { user: Some(answers::user(user)) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::CREATE_USER).await?;
    info!(user.id = %user_id, "user added");
    Ok(answer)
}
