//! The order transaction, with the store's own tables and statements, and what it may write besides.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, raw_sql};
use uuid::Uuid;

use super::ground::TOPIC;

/// The store's schema, without its outbox.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../../migrations/store_manager/0001_create_users.sql"),
    include_str!("../../../../migrations/store_manager/0002_create_products.sql"),
    include_str!("../../../../migrations/store_manager/0003_create_orders.sql"),
];
const SHARE: &str = include_str!("../../../../store-manager/sql/share_user_and_products.sql");
const INSERT_ORDER: &str = include_str!("../../../../store-manager/sql/insert_order.sql");

/// Where [`Event::Notified`] notifies.
pub(super) const CHANNEL: &str = "orders";
const PAYLOAD: [u8; 200] = [b'x'; 200];
/// How many users there are, and how many products.
const SEEDED: u64 = 1_000;

/// Customers and products, so many that callers seldom meet, and the table that an outbox without any features would be.
const SEEDS: &str = "
    INSERT INTO store_manager.users (user_id, name, email, type)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'somebody', n || '@example.com', 'CLIENT'
    FROM generate_series(0, 999) AS n;
    INSERT INTO store_manager.products (product_id, name, sku, price_minor, currency)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'something', n::text, 100, 'CAD'
    FROM generate_series(0, 999) AS n;
    CREATE SEQUENCE plain_sequence;
    CREATE TABLE plain (
        sequence bigint PRIMARY KEY DEFAULT nextval('plain_sequence'),
        id uuid NOT NULL,
        aggregatetype text NOT NULL,
        aggregateid text NOT NULL,
        type text NOT NULL,
        source text NOT NULL,
        subject text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        correlationid text,
        causationid text,
        traceparent text,
        tracestate text,
        contenttype text NOT NULL DEFAULT 'application/protobuf',
        payload bytea NOT NULL
    );
";

/// What is emptied before each measurement.
const EMPTY: &str =
    "TRUNCATE store_manager.order_states, store_manager.order_lines, store_manager.orders, plain;
    TRUNCATE messaging.outbox";

/// What an order's transaction writes besides the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing: nobody hears of the order.
    None,
    /// A row in a table as plain as can be.
    Plain,
    /// The same, and a notification.
    Notified,
    /// A row in the outbox.
    Outbox,
}

impl Event {
    fn statement(self) -> Option<String> {
        let insert = |table| {
            format!(
                "INSERT INTO {table} (
                    id, aggregatetype, aggregateid, type, source, subject, correlationid, causationid,
                    traceparent, payload
                ) VALUES (
                    $1, $2, $3, 'store.orders.events.v1.OrderCreated', '/store-manager', $3, $3, $3,
                    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', $4
                )"
            )
        };
        match self {
            Self::None => None,
            Self::Plain => Some(insert("plain")),
            Self::Outbox => Some(insert("messaging.outbox")),
            Self::Notified => Some(format!(
                "WITH event AS ({} RETURNING id) SELECT pg_notify('{CHANNEL}', '') FROM event",
                insert("plain")
            )),
        }
    }
}

/// Makes the tables in a database that has an outbox.
pub(super) async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    for script in MIGRATIONS.into_iter().chain([SEEDS]) {
        raw_sql(script).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes all orders and events.
pub(super) async fn empty(connection: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql(EMPTY).execute(&mut *connection).await?;
    connection.execute("CHECKPOINT").await?;
    Ok(())
}

/// Places the `number`th order of a caller: two lines, in one transaction of the store's statements.
pub(super) async fn place(
    connection: &mut PgConnection,
    number: u64,
    event: Event,
) -> sqlx::Result<()> {
    let (order_id, user_id) = (Uuid::now_v7(), seeded(number));
    let mut product_ids = [seeded(2 * number), seeded(2 * number + 1)];
    product_ids.sort_unstable();
    let mut transaction = connection.begin().await?;
    sqlx::query(SHARE).bind(user_id).bind(product_ids).fetch_all(&mut *transaction).await?;
    sqlx::query(INSERT_ORDER)
        .bind(order_id)
        .bind(user_id)
        .bind("DECREASING_STOCK")
        .bind(300_i64)
        .bind("CAD")
        .bind(product_ids)
        .bind([1, 2])
        .bind([100_i64, 100])
        .bind(["something", "something"])
        .bind(["1", "2"])
        .fetch_one(&mut *transaction)
        .await?;
    if let Some(statement) = event.statement() {
        sqlx::query(AssertSqlSafe(statement))
            .bind(Uuid::now_v7())
            .bind(TOPIC)
            .bind(order_id.to_string())
            .bind(PAYLOAD)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// The id of one of the users, or of the products.
fn seeded(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number % SEEDED))
}
