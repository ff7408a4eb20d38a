//! How orders end when nothing breaks.

use futures::future::join_all;
use proto::store::{
    orders::v1::{failure::Reason, order::State},
    payments::v1::payment::State as PaymentState,
};
use tonic::Code;

use super::shop::Shop;

const SUCCESS: [&str; 4] = ["OrderCreated", "StockDecreased", "PaymentCreated", "SagaCompleted"];

#[tokio::test(flavor = "multi_thread")]
async fn an_order_completes_and_each_event_names_its_cause() {
    let shop = Shop::open().await;
    let order = shop.place(&[(1, 1)]).await;
    let order = shop.reaches(&order.order_id, State::Completed).await;
    assert!(!order.is_paid);
    assert!(!order.payment_id.is_empty() && !order.payment_link.is_empty());

    let events = shop.events(&order.order_id, &SUCCESS).await;
    assert_eq!(events[0].header("ce_causationid"), "");
    for pair in events.windows(2) {
        assert_eq!(pair[1].header("ce_causationid"), pair[0].header("ce_id"));
    }
    for event in &events {
        assert_eq!(event.header("ce_correlationid"), order.order_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_spans_the_call_the_relay_and_both_services() {
    let shop = Shop::open().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = tonic::Request::new(super::shop::order_of(&[(1, 1)], ""));
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    let order = shop.orders().create_order(request).await.unwrap().into_inner().order.unwrap();
    for event in shop.events(&order.order_id, &SUCCESS).await {
        let found = event.header("traceparent").split('-').nth(1).map(str::to_owned);
        assert_eq!(found.as_deref(), Some(trace_id), "{}", event.event_name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_several_products_takes_each_and_is_one_payment() {
    let shop = Shop::open().await;
    let order = shop.place(&[(2, 1), (3, 2)]).await;
    let total = order.total.clone().unwrap();
    assert_eq!((total.units, total.nanos), (71, 0));
    shop.reaches(&order.order_id, State::Completed).await;
    assert_eq!((shop.stock(2).await, shop.stock(3).await), (499, 0));
    let payment = shop.payment_of(&order.order_id).await.unwrap();
    assert_eq!(payment.state(), PaymentState::Pending);
    assert_eq!(payment.amount, Some(total));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_more_than_is_on_hand_is_cancelled_and_says_why() {
    let shop = Shop::open().await;
    let order = shop.place(&[(3, 3)]).await;
    let order = shop.reaches(&order.order_id, State::Cancelled).await;
    let failure = order.failure.unwrap();
    assert_eq!(failure.reason(), Reason::InsufficientStock);
    assert!(failure.detail.contains("available=2, required=3"), "{}", failure.detail);
    assert_eq!(failure.product_id, super::shop::product(3));
    let names = ["OrderCreated", "StockDecreaseFailed", "OrderCancelled", "SagaCompleted"];
    shop.events(&order.order_id, &names).await;
    assert_eq!(shop.stock(3).await, 2);
    assert_eq!(shop.payment_of(&order.order_id).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_second_line_takes_nothing_of_the_first() {
    let shop = Shop::open().await;
    let order = shop.place(&[(2, 1), (3, 3)]).await;
    shop.reaches(&order.order_id, State::Cancelled).await;
    assert_eq!((shop.stock(2).await, shop.stock(3).await), (500, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_payment_gives_the_stock_back() {
    let shop = Shop::open_with_payments(&[("PROVIDER_DECLINE_ABOVE_MINOR", "100000")]).await;
    let order = shop.place(&[(1, 1), (2, 1)]).await;
    let order = shop.reaches(&order.order_id, State::Cancelled).await;
    assert_eq!(order.failure.unwrap().reason(), Reason::PaymentRefused);
    assert_eq!((shop.stock(1).await, shop.stock(2).await), (1000, 500));
    let payment = shop.payment_of(&order.order_id).await.unwrap();
    assert_eq!(payment.state(), PaymentState::Refused);
    let names = [
        "OrderCreated",
        "StockDecreased",
        "PaymentCreationFailed",
        "StockIncreased",
        "OrderCancelled",
        "SagaCompleted",
    ];
    shop.events(&order.order_id, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_buyers_of_twenty_are_twenty_orders() {
    let shop = Shop::open().await;
    shop.set_stock(4, 20).await;
    let orders = join_all((0..50).map(|_| shop.place(&[(4, 1)]))).await;
    assert_eq!(shop.all_end(&orders).await, 20);
    assert_eq!(shop.stock(4).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processed_payment_makes_the_order_paid_once() {
    let shop = Shop::open().await;
    let order = shop.place(&[(2, 2)]).await;
    let order = shop.reaches(&order.order_id, State::Completed).await;
    let paid = shop.pay(&order.payment_id).await.unwrap();
    assert_eq!(paid.state(), PaymentState::Paid);
    shop.is_paid(&order.order_id).await;
    assert_eq!(shop.pay(&order.payment_id).await.unwrap(), paid);
    let names =
        ["OrderCreated", "StockDecreased", "PaymentCreated", "SagaCompleted", "PaymentProcessed"];
    shop.events(&order.order_id, &names).await;
    let refused = shop.cancel(&order.order_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}
