//! Orders and stock of the tiny store. Each step locks the order's row first.

use proto::{
    Money,
    store::{
        orders::events::v1::{
            Failure, OrderCancelled, OrderCreated, OrderEvent, OrderLine, SagaCompleted,
            failure::Reason, order_event::Event as Order, saga_completed::Outcome,
        },
        payments::events::v1::{PaymentCreated, payment_event::Event as Payment},
        stock::events::v1::{
            StockDecreased, StockEvent, StockIncreased, StockLine, StockSet,
            stock_event::Event as Stock,
        },
    },
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Flaw, NaiveError,
    announcement::Announcement,
    consumer::{Announcements, Event, Record},
};

/// Stores an order, unless it is there already; answers what is to be announced, and the order's total.
pub(super) async fn create(
    connection: &mut PgConnection,
    order_id: Uuid,
    user_id: Uuid,
    wanted: &[(Uuid, i32)],
) -> Result<(Announcements, Money), NaiveError> {
    let mut lines = Vec::new();
    let mut total = Money::new(0, proto::Currency::CAD);
    for &(product_id, quantity) in wanted {
        let find =
            "SELECT price_minor, name, sku FROM store_manager.products WHERE product_id = $1";
        let product = sqlx::query(find).bind(product_id).fetch_one(&mut *connection).await?;
        total.amount_minor += product.get::<i64, _>("price_minor") * i64::from(quantity);
        lines.push((product_id, quantity, product));
    }
    let insert =
        "INSERT INTO store_manager.orders (order_id, user_id, state, total_minor, currency)
                  VALUES ($1, $2, 'DECREASING_STOCK', $3, $4)
                  ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert).bind(order_id).bind(user_id).bind(total.amount_minor);
    let done = insert.bind(total.currency.code()).execute(&mut *connection).await?;
    if done.rows_affected() == 0 {
        return Ok((Vec::new(), total));
    }
    let mut announced = Vec::new();
    for (product_id, quantity, product) in lines {
        announced.push(insert_line(connection, order_id, product_id, quantity, &product).await?);
    }
    reached(connection, order_id, "DECREASING_STOCK").await?;
    let created = OrderCreated {
        order_id: order_id.to_string(),
        user_id: user_id.to_string(),
        lines: announced,
        total: Some(total.into()),
    };
    Ok((vec![Announcement::new::<OrderEvent>(created, None)], total))
}

async fn insert_line(
    connection: &mut PgConnection,
    order_id: Uuid,
    product_id: Uuid,
    quantity: i32,
    product: &PgRow,
) -> sqlx::Result<OrderLine> {
    let price = Money::new(product.get("price_minor"), proto::Currency::CAD);
    sqlx::query(
        "INSERT INTO store_manager.order_lines
             (order_id, product_id, quantity, unit_price_minor, name, sku)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(order_id)
    .bind(product_id)
    .bind(quantity)
    .bind(price.amount_minor)
    .bind(product.get::<&str, _>("name"))
    .bind(product.get::<&str, _>("sku"))
    .execute(connection)
    .await?;
    let product_id = product_id.to_string();
    Ok(OrderLine { product_id, quantity, unit_price: Some(price.into()) })
}

/// Does what an event asks of orders and stock; answers what is to be announced.
pub(super) async fn handle(
    connection: &mut PgConnection,
    flaw: Flaw,
    record: &Record,
) -> Result<Announcements, NaiveError> {
    let cause = Some(record.event_id);
    Ok(match &record.event {
        Event::Order(Order::OrderCreated(event)) => {
            let order = lock(connection, event.order_id.parse()?).await?;
            vec![Announcement::new::<StockEvent>(take_stock(connection, &order).await?, cause)]
        }
        Event::Payment(Payment::PaymentCreated(event)) => {
            let order = lock(connection, event.order_id.parse()?).await?;
            let completed = complete(connection, &order, event).await?;
            completed
                .map(|event| Announcement::new::<OrderEvent>(event, cause))
                .into_iter()
                .collect()
        }
        Event::Payment(Payment::PaymentProcessed(event)) => {
            let order = lock(connection, event.order_id.parse()?).await?;
            pay(connection, &order).await?;
            Vec::new()
        }
        Event::Payment(Payment::PaymentCreationFailed(event)) => {
            let order = lock(connection, event.order_id.parse()?).await?;
            let increased = give_up(connection, &order, &event.reason).await?;
            vec![Announcement::new::<StockEvent>(increased, cause)]
        }
        Event::Stock(Stock::StockIncreased(event)) => {
            let order = lock(connection, event.order_id.parse()?).await?;
            if flaw == Flaw::RestocksTwice {
                move_stock(connection, order.id, 1).await?;
            }
            vec![Announcement::new::<OrderEvent>(cancel(connection, &order).await?, cause)]
        }
        Event::Order(Order::OrderCancelled(event)) => {
            let order = lock(connection, event.order_id.parse()?).await?;
            vec![Announcement::new::<OrderEvent>(end(connection, &order).await?, cause)]
        }
        Event::Order(
            Order::OrderCreationFailed(_)
            | Order::OrderCancellationRequested(_)
            | Order::SagaCompleted(_),
        )
        | Event::Stock(
            Stock::StockDecreased(_)
            | Stock::StockDecreaseFailed(_)
            | Stock::StockIncreaseFailed(_)
            | Stock::StockSet(_),
        )
        | Event::Payment(Payment::PaymentCancelled(_)) => Vec::new(),
    })
}

/// What its steps need of an order.
struct Locked {
    id: Uuid,
    user_id: Uuid,
    total: Money,
    failure_detail: Option<String>,
}

async fn lock(connection: &mut PgConnection, order_id: Uuid) -> sqlx::Result<Locked> {
    let lock = "SELECT user_id, total_minor, failure_detail FROM store_manager.orders
                WHERE order_id = $1
                FOR UPDATE";
    let row = sqlx::query(lock).bind(order_id).fetch_one(connection).await?;
    Ok(Locked {
        id: order_id,
        user_id: row.get("user_id"),
        total: Money::new(row.get("total_minor"), proto::Currency::CAD),
        failure_detail: row.get("failure_detail"),
    })
}

/// Takes the stock whatever the order's state is: it is the inbox that tells a repeat.
async fn take_stock(connection: &mut PgConnection, order: &Locked) -> sqlx::Result<StockDecreased> {
    let lines = move_stock(connection, order.id, -1).await?;
    let update = "UPDATE store_manager.orders
                  SET state = 'CREATING_PAYMENT', stock_taken = true, updated_at = now()
                  WHERE order_id = $1 AND state = 'DECREASING_STOCK'";
    sqlx::query(update).bind(order.id).execute(&mut *connection).await?;
    reached(connection, order.id, "CREATING_PAYMENT").await?;
    Ok(StockDecreased {
        order_id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        total: Some(order.total.into()),
        lines,
    })
}

/// Takes (-1) or gives back (1) what an order asks for.
async fn move_stock(
    connection: &mut PgConnection,
    order_id: Uuid,
    sign: i64,
) -> sqlx::Result<Vec<StockLine>> {
    let update = "UPDATE store_manager.stock
                  SET quantity = stock.quantity + $2 * line.quantity, version = version + 1, updated_at = now()
                  FROM store_manager.order_lines AS line
                  WHERE line.order_id = $1 AND line.product_id = stock.product_id
                  RETURNING stock.product_id, line.quantity::bigint AS moved, stock.quantity, version";
    let rows = sqlx::query(update).bind(order_id).bind(sign).fetch_all(connection).await?;
    let line = |row: &PgRow| StockLine {
        product_id: row.get::<Uuid, _>("product_id").to_string(),
        quantity: row.get("moved"),
        quantity_after: row.get("quantity"),
        stock_version: row.get("version"),
    };
    Ok(rows.iter().map(line).collect())
}

async fn complete(
    connection: &mut PgConnection,
    order: &Locked,
    payment: &PaymentCreated,
) -> Result<Option<SagaCompleted>, NaiveError> {
    let update = "UPDATE store_manager.orders
                  SET state = 'COMPLETED', payment_id = $2, payment_link = $3,
                      saga_completed_at = now(), updated_at = now()
                  WHERE order_id = $1 AND state = 'CREATING_PAYMENT'";
    let payment_id: Uuid = payment.payment_id.parse()?;
    let update = sqlx::query(update).bind(order.id).bind(payment_id).bind(&payment.payment_link);
    if update.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(None);
    }
    reached(connection, order.id, "COMPLETED").await?;
    let outcome = Outcome::Succeeded.into();
    Ok(Some(SagaCompleted { order_id: order.id.to_string(), outcome, failure: None }))
}

async fn pay(connection: &mut PgConnection, order: &Locked) -> sqlx::Result<()> {
    let update = "UPDATE store_manager.orders SET is_paid = true, updated_at = now()
                  WHERE order_id = $1 AND state = 'COMPLETED'";
    sqlx::query(update).bind(order.id).execute(connection).await.map(drop)
}

async fn give_up(
    connection: &mut PgConnection,
    order: &Locked,
    reason: &str,
) -> sqlx::Result<StockIncreased> {
    let lines = move_stock(connection, order.id, 1).await?;
    let update = "UPDATE store_manager.orders
                  SET state = 'CANCELLING', stock_taken = false, updated_at = now(),
                      failure_reason = 'PAYMENT_REFUSED', failure_detail = $2
                  WHERE order_id = $1";
    sqlx::query(update).bind(order.id).bind(reason).execute(&mut *connection).await?;
    reached(connection, order.id, "CANCELLING").await?;
    Ok(StockIncreased { order_id: order.id.to_string(), lines })
}

async fn cancel(connection: &mut PgConnection, order: &Locked) -> sqlx::Result<OrderCancelled> {
    let update = "UPDATE store_manager.orders SET state = 'CANCELLED', updated_at = now()
                  WHERE order_id = $1";
    sqlx::query(update).bind(order.id).execute(&mut *connection).await?;
    reached(connection, order.id, "CANCELLED").await?;
    Ok(OrderCancelled { order_id: order.id.to_string(), failure: Some(refused(order)) })
}

async fn end(connection: &mut PgConnection, order: &Locked) -> sqlx::Result<SagaCompleted> {
    let update = "UPDATE store_manager.orders SET saga_completed_at = now(), updated_at = now()
                  WHERE order_id = $1";
    sqlx::query(update).bind(order.id).execute(connection).await?;
    let (order_id, outcome) = (order.id.to_string(), Outcome::Failed.into());
    Ok(SagaCompleted { order_id, outcome, failure: Some(refused(order)) })
}

fn refused(order: &Locked) -> Failure {
    let detail = order.failure_detail.clone().unwrap_or_default();
    Failure { reason: Reason::PaymentRefused.into(), detail, product_id: String::new() }
}

async fn reached(
    connection: &mut PgConnection,
    order_id: Uuid,
    state: &'static str,
) -> sqlx::Result<()> {
    let insert = "INSERT INTO store_manager.order_states (order_id, state) VALUES ($1, $2)";
    sqlx::query(insert).bind(order_id).bind(state).execute(connection).await.map(drop)
}

/// What an adjustment of a product's stock announces. The row is locked first, unless that is the flaw.
pub(super) async fn adjustment(
    connection: &mut PgConnection,
    flaw: Flaw,
    product_id: Uuid,
    difference: i64,
) -> sqlx::Result<Announcement> {
    let read = match flaw {
        Flaw::Unlocked => "SELECT quantity, version FROM store_manager.stock WHERE product_id = $1",
        Flaw::Sound | Flaw::DualWrite | Flaw::OffsetFirst | Flaw::NoInbox | Flaw::RestocksTwice => {
            "SELECT quantity, version FROM store_manager.stock WHERE product_id = $1 FOR UPDATE"
        }
    };
    let row = sqlx::query(read).bind(product_id).fetch_one(connection).await?;
    let line = StockLine {
        product_id: product_id.to_string(),
        quantity: difference,
        quantity_after: row.get::<i64, _>("quantity") + difference,
        stock_version: row.get::<i64, _>("version") + 1,
    };
    Ok(Announcement::new::<StockEvent>(StockSet { line: Some(line) }, None))
}

/// Writes an adjustment; answers the quantity and the version afterwards.
pub(super) async fn adjust(
    connection: &mut PgConnection,
    product_id: Uuid,
    difference: i64,
) -> sqlx::Result<(i64, i64)> {
    let update = "UPDATE store_manager.stock
                  SET quantity = quantity + $2, version = version + 1, updated_at = now()
                  WHERE product_id = $1
                  RETURNING quantity, version";
    sqlx::query_as(update).bind(product_id).bind(difference).fetch_one(connection).await
}
