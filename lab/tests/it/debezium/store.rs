//! The store with Debezium in the place of the relay, one for each of its databases.

use futures::future::join;
use lab::{
    processes::Program,
    stack::{Debezium, Stack},
    system::SystemOptions,
    tap::Tapped,
};
use proto::store::orders::v1::{Order, order::State};
use tokio::time::timeout;
use tonic::Request;

use super::started;
use crate::scenarios::{PATIENCE, Shop, order_of};

const ROAD: [&str; 4] = ["OrderCreated", "StockDecreased", "PaymentCreated", "SagaCompleted"];
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread")]
async fn orders_complete_with_debezium_in_the_place_of_the_relay() {
    let shop = Shop::open_with(SystemOptions {
        stopped: vec![Program::OutboxRelay],
        ..SystemOptions::default()
    })
    .await;
    let stock = shop.stock(1).await;
    let early = shop.place(&[(1, 1)]).await;
    let Some(servers) = instead_of_the_relay(&shop).await else { return };
    let order = place_traced(&shop).await;
    for order in [&early, &order] {
        let completed = shop.reaches(&order.order_id, State::Completed).await;
        shop.pay(&completed.payment_id).await.unwrap();
        shop.is_paid(&order.order_id).await;
    }
    assert_causes_and_trace_are_kept(&shop, &order).await;

    // What they publish again after a kill changes nothing.
    for server in &servers {
        server.kill().await;
    }
    let late = shop.place(&[(1, 1)]).await;
    let (one, two) = join(servers[0].start(), servers[1].start()).await;
    one.and(two).unwrap();
    shop.reaches(&late.order_id, State::Completed).await;

    assert_eq!(shop.stock(1).await, stock - 3);
    assert!(!shop.system.relay.is_running().await);
    for server in servers {
        server.remove().await.unwrap();
    }
}

async fn instead_of_the_relay(shop: &Shop) -> Option<[Debezium; 2]> {
    let stack = Stack::shared().await.unwrap();
    let brokers = shop.system.kafka().brokers();
    let (one, two) = join(
        started(stack, shop.system.store_manager_database(), brokers),
        started(stack, shop.system.payments_database(), brokers),
    )
    .await;
    Some([one?, two?])
}

async fn place_traced(shop: &Shop) -> Order {
    let mut request = Request::new(order_of(&[(1, 1)], ""));
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    shop.orders().create_order(request).await.unwrap().into_inner().order.unwrap()
}

async fn assert_causes_and_trace_are_kept(shop: &Shop, order: &Order) {
    let events = events(shop, &order.order_id).await;
    assert_eq!(text(&events[0], "ce_causationid"), "null");
    for pair in events.windows(2) {
        assert_eq!(text(&pair[1], "ce_causationid"), text(&pair[0], "ce_id"));
    }
    for event in &events {
        assert_eq!(text(event, "ce_correlationid"), order.order_id);
        assert_eq!(text(event, "traceparent").split('-').nth(1), Some(TRACE_ID));
    }
}

/// The events of an order's road, in its order.
async fn events(shop: &Shop, order_id: &str) -> Vec<Tapped> {
    let tap = shop.tap().await;
    let mut found: Vec<Tapped> = Vec::new();
    while found.len() < ROAD.len() {
        let record =
            timeout(PATIENCE, tap.next()).await.expect("the road is not complete").unwrap();
        let is_new = found.iter().all(|event| text(event, "ce_id") != text(&record, "ce_id"));
        if record.key() == order_id && place(&record).is_some() && is_new {
            found.push(record);
        }
    }
    found.sort_by_key(place);
    assert_eq!(found.iter().map(place).collect::<Vec<_>>(), (0..4).map(Some).collect::<Vec<_>>());
    found
}

fn place(event: &Tapped) -> Option<usize> {
    ROAD.iter().position(|name| text(event, "ce_type").ends_with(&format!(".{name}")))
}

/// A header without the quotes that Debezium puts around it.
fn text<'event>(event: &'event Tapped, header: &str) -> &'event str {
    event.header(header).trim_matches('"')
}
