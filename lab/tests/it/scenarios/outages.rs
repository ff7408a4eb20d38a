//! What happens while something is down for long.

use std::time::Duration;

use proto::store::orders::v1::order::State;
use tokio::time::sleep;

use super::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn orders_placed_while_kafka_is_down_for_a_minute_all_complete_once() {
    let shop = Shop::open().await;
    shop.system.kafka().kill().await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..60 {
        orders.push(shop.place(&[(2, 1)]).await);
        // The length of the outage, not a wait for something to happen.
        sleep(Duration::from_secs(1)).await;
    }
    shop.system.kafka().start().await.unwrap();
    assert_eq!(shop.all_end(&orders).await, 60);
    assert_eq!(shop.stock(2).await, 500 - 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_for_payments_and_then_complete() {
    let shop = Shop::open().await;
    shop.system.payments.kill().await;
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.push(shop.place(&[(2, 1)]).await);
    }
    for order in &orders {
        shop.reaches(&order.order_id, State::CreatingPayment).await;
    }
    shop.system.payments.start().await.unwrap();
    assert_eq!(shop.all_end(&orders).await, 5);
    assert_eq!(shop.stock(2).await, 495);
}
