//! Reads both databases, each as it is at one moment.

use std::collections::BTreeMap;

use prost::Message as _;
use proto::store::{
    orders::v1::{CancelOrderResponse, CreateOrderResponse},
    payments::v1::ProcessPaymentResponse,
    stock::v1::{AdjustStockResponse, SetStockResponse},
};
use sqlx::{Connection, FromRow, PgConnection, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AuditError, Handled, Owner, Row, Snapshot};
use crate::history::Reply;

const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

const ORDERS: &str =
    "SELECT order_id, user_id, state, total_minor, currency, stock_taken, is_paid, payment_id,
        failure_reason, created_at
    FROM store_manager.orders ORDER BY order_id";
const LINES: &str = "SELECT order_id, product_id, quantity, unit_price_minor
    FROM store_manager.order_lines ORDER BY order_id, product_id";
const STATES: &str =
    "SELECT order_id, state FROM store_manager.order_states ORDER BY order_id, state_id";
const REFUSALS: &str =
    "SELECT order_id, request_id FROM store_manager.order_refusals ORDER BY order_id";
const STOCK: &str =
    "SELECT product_id, quantity, version FROM store_manager.stock ORDER BY product_id";
const PAYMENTS: &str =
    "SELECT payment_id, order_id, user_id, amount_minor, currency, state, settled_at IS NOT NULL AS settled
    FROM payments.payments ORDER BY payment_id";
const LEDGER: &str = "SELECT payment_id, order_id, kind, amount_minor, currency
    FROM simulated_provider.ledger ORDER BY entry_id";
const OUTBOX: &str =
    "SELECT sequence, id, aggregatetype, aggregateid, type, source, subject, correlationid, causationid, traceparent,
        created_at, payload
    FROM messaging.outbox ORDER BY sequence";
const INBOX: &str = "SELECT event_id, handled_at FROM messaging.inbox ORDER BY event_id";
const ANSWERS: &str = "SELECT rpc, request_id, answer FROM messaging.requests
    WHERE answer IS NOT NULL ORDER BY created_at";
/// The first partition of the outbox, which goes when all of it is published and old.
const FIRST_PARTITION: &str =
    "SELECT to_regclass('messaging.outbox_p00000000') IS NOT NULL AS is_there";

#[derive(FromRow)]
struct OutboxRow {
    sequence: i64,
    id: Uuid,
    aggregatetype: String,
    aggregateid: String,
    #[sqlx(rename = "type")]
    event_type: String,
    source: String,
    subject: String,
    correlationid: Option<String>,
    causationid: Option<String>,
    traceparent: Option<String>,
    created_at: OffsetDateTime,
    payload: Vec<u8>,
}

/// Reads the database of `owner` at `url` into `snapshot`.
pub(super) async fn read(
    owner: Owner,
    url: &str,
    snapshot: &mut Snapshot,
) -> Result<(), AuditError> {
    read_at_one_moment(owner, url, snapshot)
        .await
        .map_err(|source| AuditError::Database { name: owner.name(), source })
}

async fn read_at_one_moment(owner: Owner, url: &str, snapshot: &mut Snapshot) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let mut transaction = connection.begin_with(ONE_MOMENT).await?;
    match owner {
        Owner::StoreManager => {
            snapshot.orders = all(&mut transaction, ORDERS).await?;
            snapshot.lines = all(&mut transaction, LINES).await?;
            snapshot.order_states = all(&mut transaction, STATES).await?;
            snapshot.refusals = all(&mut transaction, REFUSALS).await?;
            snapshot.stock = all(&mut transaction, STOCK).await?;
        }
        Owner::Payments => {
            snapshot.payments = all(&mut transaction, PAYMENTS).await?;
            snapshot.ledger = all(&mut transaction, LEDGER).await?;
        }
    }
    let rows: Vec<OutboxRow> = all(&mut transaction, OUTBOX).await?;
    snapshot.outbox.extend(rows.into_iter().map(|row| row.of(owner)));
    let events: Vec<(Uuid, OffsetDateTime)> = all(&mut transaction, INBOX).await?;
    let handled = |(event_id, handled_at)| Handled { by: owner, event_id, handled_at };
    snapshot.inbox.extend(events.into_iter().map(handled));
    let kept: Vec<(String, Uuid, Vec<u8>)> = all(&mut transaction, ANSWERS).await?;
    snapshot.answers.extend(answers(kept));
    let first: Vec<(bool,)> = all(&mut transaction, FIRST_PARTITION).await?;
    if first != [(true,)] {
        let sentence = format!("the first rows of the outbox of {} were dropped", owner.name());
        snapshot.lost_beginnings.push(sentence);
    }
    transaction.rollback().await?;
    connection.close().await
}

async fn all<T>(connection: &mut PgConnection, statement: &'static str) -> sqlx::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(statement).fetch_all(connection).await
}

impl OutboxRow {
    fn of(self, owner: Owner) -> Row {
        Row {
            owner,
            sequence: self.sequence,
            event_id: self.id,
            topic: self.aggregatetype,
            key: self.aggregateid,
            event_type: self.event_type,
            source: self.source,
            subject: self.subject,
            correlation: self.correlationid,
            traceparent: self.traceparent,
            cause: self.causationid.and_then(|id| id.parse().ok()),
            created_at: self.created_at,
            payload: self.payload,
        }
    }
}

/// The first answer to each request; those of other commands than a history has are left out.
fn answers(kept: Vec<(String, Uuid, Vec<u8>)>) -> BTreeMap<Uuid, Reply> {
    let read = |(rpc, request_id, answer): (String, Uuid, Vec<u8>)| {
        Some((request_id, reply(rpc.rsplit('/').next()?, &answer)?))
    };
    kept.into_iter().filter_map(read).collect()
}

fn reply(rpc: &str, answer: &[u8]) -> Option<Reply> {
    Some(match rpc {
        "CreateOrder" => CreateOrderResponse::decode(answer).ok()?.order?.into(),
        "CancelOrder" => CancelOrderResponse::decode(answer).ok()?.order?.into(),
        "SetStock" => SetStockResponse::decode(answer).ok()?.stock?.into(),
        "AdjustStock" => AdjustStockResponse::decode(answer).ok()?.stock?.into(),
        "ProcessPayment" => ProcessPaymentResponse::decode(answer).ok()?.payment?.into(),
        _ => return None,
    })
}
