//! Idempotent commands: the same `request_id` with the same request gets the first answer, whoever asks and how often.
//!
//! A command calls [`claim`] first in its transaction and [`answer`] last. Callers of one id wait for each other, so that
//! fifty at once are one that works and forty-nine that are told its answer. If the command fails, its transaction is
//! rolled back and the id is as if never used.

use prost::Message;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

/// Whether the work is still to be done.
#[derive(Debug)]
pub enum Claim<A> {
    /// It is: do it, then hand the ticket to [`answer`].
    New(Ticket),
    /// It was done; this was the answer.
    Answered(A),
}

/// The right to answer a request. That of a request without an id does nothing.
#[derive(Debug)]
#[must_use = "a claimed request is to be answered"]
pub struct Ticket(Option<Row>);

#[derive(Debug)]
struct Row {
    rpc: String,
    request_id: Uuid,
    created_at: OffsetDateTime,
}

/// Why a request was not claimed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The id belongs to another request.
    #[error("the request id belongs to another request")]
    Reused,
    /// The answer that was kept cannot be read.
    #[error("the kept answer cannot be read")]
    Answer(#[from] prost::DecodeError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Claims `request_id` of `rpc` for the caller's transaction, first thing in it; waits for another that holds it.
///
/// `request` is the request with its id cleared, and without maps, whose encoding has no order.
///
/// # Errors
/// [`RequestError::Reused`] if the id was used with another request.
pub async fn claim<Q: Message, A: Message + Default>(
    connection: &mut PgConnection,
    rpc: &str,
    request_id: Option<Uuid>,
    request: &Q,
) -> Result<Claim<A>, RequestError> {
    let Some(request_id) = request_id else { return Ok(Claim::New(Ticket(None))) };
    // A statement of its own, so that the next one's snapshot is taken after the lock is granted.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2)) IS NULL AS locked",
        rpc,
        request_id.to_string()
    )
    .fetch_one(&mut *connection)
    .await?;
    let request_hash = Sha256::digest(request.encode_to_vec()).to_vec();
    let row = sqlx::query_file!("sql/claim_request.sql", rpc, request_id, request_hash)
        .fetch_one(connection)
        .await?;
    match row.answer {
        _ if row.request_hash != request_hash => Err(RequestError::Reused),
        Some(answer) => Ok(Claim::Answered(A::decode(answer.as_slice())?)),
        None => {
            let rpc = rpc.to_owned();
            Ok(Claim::New(Ticket(Some(Row { rpc, request_id, created_at: row.created_at }))))
        }
    }
}

/// Keeps `answer` as the first one, in the transaction that claimed the request.
///
/// # Errors
/// What the database says.
pub async fn answer<A: Message>(
    connection: &mut PgConnection,
    ticket: Ticket,
    answer: &A,
) -> sqlx::Result<()> {
    let Some(row) = ticket.0 else { return Ok(()) };
    sqlx::query!(
        "UPDATE messaging.requests SET answer = $4
         WHERE rpc = $1 AND request_id = $2 AND created_at = $3",
        row.rpc,
        row.request_id,
        row.created_at,
        answer.encode_to_vec()
    )
    .execute(connection)
    .await?;
    Ok(())
}
