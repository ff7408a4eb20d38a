//! Table `payments.payments`: one row an order, which is also the lock of everything about the order here.

use messaging::Context;
use proto::{OrderId, PaymentId, UserId};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::row::{PaymentRow, state_columns};
use crate::domain::{Payment, PaymentState};

/// Which payments to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// Only this user's.
    pub user_id: Option<UserId>,
    /// Only those whose column `state` is that of this state.
    pub state: Option<PaymentState>,
}

/// Writes a new payment; `false` if the order has one. Waits for another transaction that is just writing one.
pub async fn insert(
    connection: &mut PgConnection,
    payment: &Payment,
    cause: &Context,
) -> sqlx::Result<bool> {
    let (state, cancel_requested) = state_columns(payment.state);
    let inserted = sqlx::query!(
        "INSERT INTO payments.payments (
             payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link,
             settled_at, correlation_id, causation_id, traceparent, tracestate
         ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $9 THEN now() END, $10, $11, $12, $13)
         ON CONFLICT (order_id) DO NOTHING",
        payment.payment_id.0,
        payment.order_id.0,
        payment.user_id.0,
        payment.amount.amount_minor,
        payment.amount.currency.code(),
        state,
        cancel_requested,
        payment.payment_link,
        payment.settled,
        cause.correlation_id,
        cause.causation_id,
        cause.trace.traceparent,
        cause.trace.tracestate,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Locks the payment of an order, which must have one.
pub async fn lock_by_order(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<(Payment, Context)> {
    sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link, settled_at,
             correlation_id, causation_id, traceparent, tracestate, created_at, updated_at
         FROM payments.payments WHERE order_id = $1 FOR UPDATE",
        order_id.0,
    )
    .fetch_one(connection)
    .await?
    .read()
}

/// Locks a payment.
pub async fn lock(
    connection: &mut PgConnection,
    payment_id: PaymentId,
) -> sqlx::Result<Option<(Payment, Context)>> {
    sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link, settled_at,
             correlation_id, causation_id, traceparent, tracestate, created_at, updated_at
         FROM payments.payments WHERE payment_id = $1 FOR UPDATE",
        payment_id.0,
    )
    .fetch_optional(connection)
    .await?
    .map(PaymentRow::read)
    .transpose()
}

/// Writes a payment that is locked, and answers it as written. Calls that failed before no longer count.
pub async fn update(connection: &mut PgConnection, payment: Payment) -> sqlx::Result<Payment> {
    let (state, cancel_requested) = state_columns(payment.state);
    let row = sqlx::query!(
        "UPDATE payments.payments
         SET state = $2, cancel_requested = $3, payment_link = $4,
             settled_at = CASE WHEN $5 THEN coalesce(settled_at, now()) END,
             attempts = 0, retry_at = now(),
             updated_at = CASE WHEN state = $2 THEN updated_at ELSE now() END
         WHERE payment_id = $1
         RETURNING updated_at",
        payment.payment_id.0,
        state,
        cancel_requested,
        payment.payment_link,
        payment.settled,
    )
    .fetch_one(connection)
    .await?;
    Ok(Payment { updated_at: row.updated_at, ..payment })
}

/// Remembers what the worker's next announcement of a locked payment inherits.
pub async fn set_cause(
    connection: &mut PgConnection,
    payment_id: PaymentId,
    cause: &Context,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payments.payments
         SET correlation_id = $2, causation_id = $3, traceparent = $4, tracestate = $5
         WHERE payment_id = $1",
        payment_id.0,
        cause.correlation_id,
        cause.causation_id,
        cause.trace.traceparent,
        cause.trace.tracestate,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Up to `limit` payments for which the provider is to be called now, those waiting longest first.
pub async fn owed(
    executor: impl PgExecutor<'_>,
    limit: i64,
) -> sqlx::Result<Vec<(Payment, Context)>> {
    sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link, settled_at,
             correlation_id, causation_id, traceparent, tracestate, created_at, updated_at
         FROM payments.payments
         WHERE settled_at IS NULL AND retry_at <= now()
         ORDER BY retry_at LIMIT $1",
        limit,
    )
    .fetch_all(executor)
    .await?
    .into_iter()
    .map(PaymentRow::read)
    .collect()
}

/// For how many payments the provider is to be called, and for how many seconds the oldest has waited.
pub async fn owed_totals(executor: impl PgExecutor<'_>) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!",
                  coalesce(extract(epoch FROM now() - min(updated_at)), 0)::bigint AS "oldest_age_seconds!"
           FROM payments.payments WHERE settled_at IS NULL"#
    )
    .fetch_one(executor)
    .await?;
    Ok((row.count, row.oldest_age_seconds))
}

/// Counts a failed call and puts the next one off: 250 ms, doubled with each failure, at most 30 s.
pub async fn postpone(executor: impl PgExecutor<'_>, payment_id: PaymentId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payments.payments
         SET attempts = attempts + 1,
             retry_at = now() + least(interval '250 milliseconds' * (1 << least(attempts, 7)), interval '30 seconds')
         WHERE payment_id = $1 AND settled_at IS NULL",
        payment_id.0,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Reads a payment.
pub async fn get(
    executor: impl PgExecutor<'_>,
    payment_id: PaymentId,
) -> sqlx::Result<Option<Payment>> {
    let row = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link, settled_at,
             correlation_id, causation_id, traceparent, tracestate, created_at, updated_at
         FROM payments.payments WHERE payment_id = $1",
        payment_id.0,
    )
    .fetch_optional(executor)
    .await?;
    payment_of(row)
}

/// Reads the payment of an order.
pub async fn get_by_order(
    executor: impl PgExecutor<'_>,
    order_id: OrderId,
) -> sqlx::Result<Option<Payment>> {
    let row = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link, settled_at,
             correlation_id, causation_id, traceparent, tracestate, created_at, updated_at
         FROM payments.payments WHERE order_id = $1",
        order_id.0,
    )
    .fetch_optional(executor)
    .await?;
    payment_of(row)
}

/// Reads up to `limit` payments, newest first, that come after `after`.
pub async fn list(
    executor: impl PgExecutor<'_>,
    filter: PaymentFilter,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        PaymentRow,
        "SELECT payment_id, order_id, user_id, amount_minor, currency, state, cancel_requested, payment_link, settled_at,
             correlation_id, causation_id, traceparent, tracestate, created_at, updated_at
         FROM payments.payments
         WHERE ($1::uuid IS NULL OR user_id = $1)
           AND ($2::text IS NULL OR state = $2)
           AND ($3::uuid IS NULL OR payment_id < $3)
         ORDER BY payment_id DESC LIMIT $4",
        filter.user_id.map(|user_id| user_id.0),
        filter.state.map(|state| state_columns(state).0),
        after,
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| Ok(row.read()?.0)).collect()
}

fn payment_of(row: Option<PaymentRow>) -> sqlx::Result<Option<Payment>> {
    row.map(|row| Ok(row.read()?.0)).transpose()
}
