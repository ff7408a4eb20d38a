//! The outbox: an event goes in with the transaction that made it true, the relay takes it out once that committed.

use proto::Event;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Context;

/// Appends `event` in the caller's transaction and answers its id (UUIDv7).
///
/// The caller has locked the row of the aggregate that is the event's key: that lock is what makes the order of one key's
/// records the order of the commits.
///
/// # Errors
/// What the database says; [`sqlx::Error::Encode`] for an envelope without an event.
pub async fn append<E: Event>(
    connection: &mut PgConnection,
    context: &Context,
    event: &E,
) -> sqlx::Result<Uuid> {
    let (Some(event_type), Some(key)) = (event.event_type(), event.key()) else {
        return Err(sqlx::Error::Encode("an envelope without an event".into()));
    };
    let event_id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO messaging.outbox (
             id, aggregatetype, aggregateid, type, source, subject,
             correlationid, causationid, traceparent, tracestate, payload
         ) VALUES ($1, $2, $3, $4, $5, $3, $6, $7, $8, $9, $10)",
        event_id,
        E::TOPIC,
        key,
        event_type,
        E::SOURCE,
        context.correlation_id,
        context.causation_id.map(|id| id.to_string()),
        context.trace.traceparent,
        context.trace.tracestate,
        event.encode_to_vec(),
    )
    .execute(connection)
    .await?;
    Ok(event_id)
}
