//! Processes killed with SIGKILL between two steps.

use lab::{processes::Program, system::SystemOptions};
use proto::store::orders::v1::order::State;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::sleep;

use super::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_event_was_not_published_when_store_manager_died_completes() {
    let stopped = vec![Program::OutboxRelay];
    let shop = Shop::open_with(SystemOptions { stopped, ..SystemOptions::default() }).await;
    let order = shop.place(&[(1, 1)]).await;
    shop.system.store_manager.kill().await;
    shop.system.relay.start().await.unwrap();
    shop.system.store_manager.start().await.unwrap();
    shop.reaches(&order.order_id, State::Completed).await;
    assert_eq!(shop.stock(1).await, 999);
}

/// Holds the handler before its commit with `lock`, takes Kafka away, lets the commit happen, kills the process: its
/// offset cannot have been committed.
async fn commit_without_offset(
    shop: &Shop,
    database: &str,
    lock: &'static str,
    handled: &'static str,
) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql(lock).execute(&mut *transaction).await.unwrap();
    shop.place(&[(2, 1)]).await;
    let mut watcher = PgConnection::connect(database).await.unwrap();
    wait_for(&mut watcher, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").await;
    shop.system.kafka().kill().await.unwrap();
    transaction.rollback().await.unwrap();
    wait_for(&mut watcher, handled).await;
}

/// Waits until `count` counts something.
async fn wait_for(connection: &mut PgConnection, count: &'static str) {
    for _ in 0..4_000 {
        let found: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.unwrap();
        if found > 0 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing is counted by {count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_manager_killed_between_commit_and_offset_takes_the_stock_once() {
    let shop = Shop::open().await;
    commit_without_offset(
        &shop,
        shop.system.store_manager_database(),
        "SELECT FROM store_manager.stock FOR UPDATE",
        "SELECT count(*) FROM store_manager.orders WHERE state = 'CREATING_PAYMENT'",
    )
    .await;
    shop.system.store_manager.kill().await;
    shop.system.kafka().start().await.unwrap();
    shop.system.store_manager.start().await.unwrap();
    let order = shop.only_order().await;
    shop.reaches(&order.order_id, State::Completed).await;
    assert_eq!(shop.stock(2).await, 499);
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_killed_between_commit_and_offset_makes_one_payment() {
    let shop = Shop::open().await;
    commit_without_offset(
        &shop,
        shop.system.payments_database(),
        "LOCK TABLE payments.payments IN SHARE ROW EXCLUSIVE MODE",
        "SELECT count(*) FROM payments.payments",
    )
    .await;
    shop.system.payments.kill().await;
    shop.system.kafka().start().await.unwrap();
    shop.system.payments.start().await.unwrap();
    let order = shop.only_order().await;
    let order = shop.reaches(&order.order_id, State::Completed).await;
    let payment = shop.payment_of(&order.order_id).await.unwrap();
    assert_eq!(payment.payment_id, order.payment_id);
    let names = ["OrderCreated", "StockDecreased", "PaymentCreated", "SagaCompleted"];
    shop.events(&order.order_id, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_any_process_at_any_time_loses_and_doubles_nothing() {
    let seed = std::env::var("LAB_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("LAB_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let shop = Shop::open().await;
    let mut orders = Vec::new();
    for _ in 0..12 {
        for _ in 0..10 {
            orders.push(shop.place(&[(2, 1)]).await);
        }
        sleep(Duration::from_millis(random.random_range(0..150))).await;
        let victim = match random.random_range(0..3) {
            0 => &shop.system.store_manager,
            1 => &shop.system.payments,
            _ => &shop.system.relay,
        };
        victim.kill().await;
        victim.start().await.unwrap();
    }
    assert_eq!(shop.all_end(&orders).await, 120);
    assert_eq!(shop.stock(2).await, 500 - 120);
    let mut payments = PgConnection::connect(shop.system.payments_database()).await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM payments.payments")
        .fetch_one(&mut payments)
        .await
        .unwrap();
    assert_eq!(count, 120);
    let mut store = PgConnection::connect(shop.system.store_manager_database()).await.unwrap();
    let ends: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM messaging.outbox WHERE type LIKE '%.SagaCompleted'",
    )
    .fetch_one(&mut store)
    .await
    .unwrap();
    assert_eq!(ends, 120, "each saga ends exactly once");
}
