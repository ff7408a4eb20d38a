//! Records that come twice, and records that nobody can read.

use std::time::Duration;

use lab::tap::{From, TOPICS, Tap, Tapped};
use proto::store::orders::v1::order::State;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::time::timeout;
use uuid::Uuid;

use super::shop::{PATIENCE, Shop};

/// Marks a record that a test put on a topic.
const INJECTED: &str = "lab-injected";

fn producer(shop: &Shop) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", shop.system.kafka().brokers()).create().unwrap()
}

/// Puts `event` on its topic again, as `event_id`.
async fn repeat(producer: &FutureProducer, event: &Tapped, event_id: &str) {
    let mut headers = OwnedHeaders::new().insert(Header { key: INJECTED, value: Some("true") });
    for name in [
        "content-type",
        "ce_specversion",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_correlationid",
        "ce_causationid",
        "traceparent",
    ] {
        headers = headers.insert(Header { key: name, value: Some(event.header(name)) });
    }
    headers = headers.insert(Header { key: "ce_id", value: Some(event_id) });
    let record =
        FutureRecord::to(event.topic()).key(event.key()).payload(event.payload()).headers(headers);
    producer.send(record, PATIENCE).await.unwrap();
}

/// Places three orders, one of them too large, while every event is put on its topic again at once.
async fn every_event_twice(event_id: fn(&Tapped) -> String) {
    let shop = Shop::open().await;
    let producer = producer(&shop);
    let tap = Tap::open(shop.system.kafka().brokers(), &TOPICS, From::Now).await.unwrap();
    let mut orders = Vec::new();
    for quantity in [1, 2, 3] {
        orders.push(shop.place(&[(2, 1), (3, quantity)]).await);
    }
    let mut completed = 0;
    while completed < orders.len() {
        let event = timeout(PATIENCE, tap.next()).await.unwrap().unwrap();
        if event.header(INJECTED).is_empty() {
            completed += usize::from(event.event_name() == "SagaCompleted");
            repeat(&producer, &event, &event_id(&event)).await;
        }
    }
    // One more order, behind all the repeats: when it ends, they have been handled.
    let last = shop.place(&[(4, 1)]).await;
    shop.reaches(&last.order_id, State::Completed).await;

    let mut stock = (500, 2);
    for (order, quantity) in orders.iter().zip([1, 2, 3]) {
        let order = shop.order(&order.order_id).await;
        if order.state() == State::Completed {
            stock = (stock.0 - 1, stock.1 - quantity);
            assert_eq!(
                shop.payment_of(&order.order_id).await.unwrap().payment_id,
                order.payment_id
            );
        } else {
            assert_eq!(order.state(), State::Cancelled);
        }
    }
    assert_eq!((shop.stock(2).await, shop.stock(3).await), stock);
    for order in &orders {
        assert_eq!(announced_completions(&shop, &order.order_id).await, 1);
    }
}

/// How many SagaCompleted of the order stand on the topic that no test put there.
async fn announced_completions(shop: &Shop, order_id: &str) -> usize {
    let tap = shop.tap().await;
    let mut count = 0;
    while let Ok(event) = timeout(Duration::from_secs(3), tap.next()).await {
        let event = event.unwrap();
        let announced = event.key() == order_id && event.header(INJECTED).is_empty();
        count += usize::from(announced && event.event_name() == "SagaCompleted");
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_delivered_twice_changes_nothing() {
    every_event_twice(|event| event.header("ce_id").to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_repeated_under_another_id_changes_nothing() {
    every_event_twice(|_| Uuid::now_v7().to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_nobody_can_read_is_parked_and_the_next_ones_flow() {
    let shop = Shop::open().await;
    let producer = producer(&shop);
    let garbage = FutureRecord::to(TOPICS[0]).key("nobody").payload(&[0xff; 16]);
    producer.send(garbage, PATIENCE).await.unwrap();
    for group in ["store-manager", "payments"] {
        let parked = format!("{group}.{}.dlq", TOPICS[0]);
        let tap =
            Tap::open(shop.system.kafka().brokers(), &[&parked], From::Beginning).await.unwrap();
        let letter = timeout(PATIENCE, tap.next()).await.unwrap().unwrap();
        assert_eq!((letter.key(), letter.payload()), ("nobody", [0xff; 16].as_slice()));
        assert_eq!(letter.header("dlq-original-topic"), TOPICS[0]);
        assert!(!letter.header("dlq-reason").is_empty() && !letter.header("dlq-error").is_empty());
    }
    let order = shop.place(&[(1, 1)]).await;
    shop.reaches(&order.order_id, State::Completed).await;
}
