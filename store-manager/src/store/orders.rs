//! The table `orders`: the row that is locked for the saga of an order.

use proto::{OrderId, PaymentId, ProductId, UserId};
use sqlx::{PgConnection, types::time::OffsetDateTime};
use uuid::Uuid;

use crate::domain::order::{Failure, FailureReason, Order, OrderLine, OrderState};

struct Row {
    order_id: OrderId,
    user_id: UserId,
    state: OrderState,
    total_minor: i64,
    currency: String,
    stock_taken: bool,
    is_paid: bool,
    payment_id: Option<PaymentId>,
    payment_link: Option<String>,
    failure_reason: Option<FailureReason>,
    failure_detail: Option<String>,
    failure_product_id: Option<ProductId>,
    saga_completed: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for Order {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            order_id: row.order_id,
            user_id: row.user_id,
            state: row.state,
            total: super::money(row.total_minor, &row.currency)?,
            stock_taken: row.stock_taken,
            is_paid: row.is_paid,
            payment_id: row.payment_id,
            payment_link: row.payment_link,
            failure: row.failure_reason.map(|reason| Failure {
                reason,
                detail: row.failure_detail.unwrap_or_default(),
                product_id: row.failure_product_id,
            }),
            saga_completed: row.saga_completed,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Inserts an order with its lines and its first state; answers when.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    order: &Order,
    lines: &[OrderLine],
) -> sqlx::Result<OffsetDateTime> {
    let product_ids: Vec<Uuid> = lines.iter().map(|line| line.product_id.0).collect();
    let quantities: Vec<i32> = lines.iter().map(|line| line.quantity).collect();
    let prices: Vec<i64> = lines.iter().map(|line| line.unit_price_minor).collect();
    let names: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
    let skus: Vec<String> = lines.iter().map(|line| line.sku.clone()).collect();
    let row = sqlx::query_file!(
        "sql/insert_order.sql",
        order.order_id.0,
        order.user_id.0,
        order.state as OrderState,
        order.total.amount_minor,
        order.total.currency.code(),
        &product_ids,
        &quantities,
        &prices,
        &names,
        &skus,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.created_at)
}

/// Locks an order for the rest of the transaction.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<Option<Order>> {
    sqlx::query_as!(
        Row,
        r#"SELECT order_id AS "order_id: OrderId", user_id AS "user_id: UserId", state AS "state: OrderState",
               total_minor, currency, stock_taken, is_paid, payment_id AS "payment_id: PaymentId", payment_link,
               failure_reason AS "failure_reason: FailureReason", failure_detail,
               failure_product_id AS "failure_product_id: ProductId",
               saga_completed_at IS NOT NULL AS "saga_completed!", created_at, updated_at
           FROM store_manager.orders
           WHERE order_id = $1
           FOR NO KEY UPDATE"#,
        order_id.0
    )
    .fetch_optional(connection)
    .await?
    .map(Order::try_from)
    .transpose()
}

/// Reads an order.
pub(crate) async fn find(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> sqlx::Result<Option<Order>> {
    sqlx::query_as!(
        Row,
        r#"SELECT order_id AS "order_id: OrderId", user_id AS "user_id: UserId", state AS "state: OrderState",
               total_minor, currency, stock_taken, is_paid, payment_id AS "payment_id: PaymentId", payment_link,
               failure_reason AS "failure_reason: FailureReason", failure_detail,
               failure_product_id AS "failure_product_id: ProductId",
               saga_completed_at IS NOT NULL AS "saga_completed!", created_at, updated_at
           FROM store_manager.orders
           WHERE order_id = $1"#,
        order_id.0
    )
    .fetch_optional(connection)
    .await?
    .map(Order::try_from)
    .transpose()
}

/// Writes what has changed of a locked order, and notes the state as reached if it was not `before`.
pub(crate) async fn write(
    connection: &mut PgConnection,
    order: &mut Order,
    before: OrderState,
) -> sqlx::Result<()> {
    let failure = order.failure.as_ref();
    let row = sqlx::query_file!(
        "sql/write_order.sql",
        order.order_id.0,
        order.state as OrderState,
        order.stock_taken,
        order.is_paid,
        order.payment_id.map(|id| id.0),
        order.payment_link,
        failure.map(|failure| failure.reason) as Option<FailureReason>,
        failure.map(|failure| failure.detail.as_str()),
        failure.and_then(|failure| failure.product_id).map(|id| id.0),
        order.saga_completed,
        order.state != before,
    )
    .fetch_one(connection)
    .await?;
    order.updated_at = row.updated_at;
    Ok(())
}

/// Which orders a list shows; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) user_id: Option<UserId>,
    pub(crate) state: Option<OrderState>,
    /// Not changed since.
    pub(crate) unchanged_since: Option<OffsetDateTime>,
    /// Placed then or later.
    pub(crate) created_from: Option<OffsetDateTime>,
    /// Placed before.
    pub(crate) created_before: Option<OffsetDateTime>,
}

/// Lists at most `limit` orders, newest first, beginning after the order `after`.
pub(crate) async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Order>> {
    sqlx::query_as!(
        Row,
        r#"SELECT order_id AS "order_id: OrderId", user_id AS "user_id: UserId", state AS "state: OrderState",
               total_minor, currency, stock_taken, is_paid, payment_id AS "payment_id: PaymentId", payment_link,
               failure_reason AS "failure_reason: FailureReason", failure_detail,
               failure_product_id AS "failure_product_id: ProductId",
               saga_completed_at IS NOT NULL AS "saga_completed!", created_at, updated_at
           FROM store_manager.orders
           WHERE ($1::uuid IS NULL OR order_id < $1)
               AND ($2::uuid IS NULL OR user_id = $2)
               AND ($3::text IS NULL OR state = $3)
               AND ($4::timestamptz IS NULL OR updated_at <= $4)
               AND ($5::timestamptz IS NULL OR created_at >= $5)
               AND ($6::timestamptz IS NULL OR created_at < $6)
           ORDER BY order_id DESC
           LIMIT $7"#,
        after,
        filter.user_id.map(|id| id.0),
        filter.state as Option<OrderState>,
        filter.unchanged_since,
        filter.created_from,
        filter.created_before,
        limit
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Order::try_from)
    .collect()
}

/// Whether a user has orders.
pub(crate) async fn exist_of_user(
    connection: &mut PgConnection,
    user_id: UserId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM store_manager.orders WHERE user_id = $1) AS "exist!""#,
        user_id.0
    )
    .fetch_one(connection)
    .await
}

/// Orders that are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// All of them.
    pub(crate) orders: i64,
    /// Those that have not moved for long.
    pub(crate) stuck: i64,
    /// The one of these that has not moved for longest.
    pub(crate) oldest: Option<OrderId>,
}

/// Counts the orders that are under way, and those that have not moved since `cutoff`.
pub(crate) async fn count_under_way(
    connection: &mut PgConnection,
    cutoff: OffsetDateTime,
) -> sqlx::Result<UnderWay> {
    sqlx::query_as!(
        UnderWay,
        r#"SELECT count(*) AS "orders!",
               count(*) FILTER (WHERE updated_at <= $1) AS "stuck!",
               (array_agg(order_id ORDER BY updated_at) FILTER (WHERE updated_at <= $1))[1] AS "oldest: OrderId"
           FROM store_manager.orders
           WHERE saga_completed_at IS NULL OR state = 'CANCELLING'"#,
        cutoff
    )
    .fetch_one(connection)
    .await
}

/// Counts the orders that need attention.
pub(crate) async fn count_needing_attention(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM store_manager.orders WHERE state = 'NEEDS_ATTENTION'"#
    )
    .fetch_one(connection)
    .await
}
