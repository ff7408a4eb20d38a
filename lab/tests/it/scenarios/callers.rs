//! What callers may do to the system while an order is under way.

use std::collections::BTreeSet;

use futures::{StreamExt, future::join_all};
use proto::store::{
    orders::v1::{ListOrdersRequest, WatchOrderRequest, failure::Reason, order::State},
    payments::v1::payment::State as PaymentState,
};
use uuid::Uuid;

use super::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_cancelled_while_its_payment_is_created_is_cancelled_everywhere() {
    let shop = Shop::open_with_payments(&[("PROVIDER_DELAY_MS", "1500")]).await;
    let order = shop.place(&[(2, 1)]).await;
    shop.reaches(&order.order_id, State::CreatingPayment).await;
    shop.cancel(&order.order_id).await.unwrap();
    let order = shop.reaches(&order.order_id, State::Cancelled).await;
    assert_eq!(order.failure.unwrap().reason(), Reason::CancelledByCaller);
    assert_eq!(shop.stock(2).await, 500);
    let payment = shop.payment_of(&order.order_id).await.unwrap();
    assert_eq!(payment.state(), PaymentState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_order_that_is_not_paid_can_be_cancelled() {
    let shop = Shop::open().await;
    let order = shop.place(&[(2, 1)]).await;
    shop.reaches(&order.order_id, State::Completed).await;
    shop.cancel(&order.order_id).await.unwrap();
    let order = shop.reaches(&order.order_id, State::Cancelled).await;
    assert_eq!(shop.stock(2).await, 500);
    let payment = shop.payment_of(&order.order_id).await.unwrap();
    assert_eq!(payment.state(), PaymentState::Cancelled);
    let names = [
        "OrderCreated",
        "StockDecreased",
        "PaymentCreated",
        "SagaCompleted",
        "OrderCancellationRequested",
        "PaymentCancelled",
        "StockIncreased",
        "OrderCancelled",
    ];
    shop.events(&order.order_id, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_racing_a_payment_ends_on_one_side() {
    let shop = Shop::open().await;
    for _ in 0..20 {
        let order = shop.place(&[(2, 1)]).await;
        let order = shop.reaches(&order.order_id, State::Completed).await;
        let (cancelled, paid) =
            tokio::join!(shop.cancel(&order.order_id), shop.pay(&order.payment_id));
        if paid.is_ok() {
            let order = shop.is_paid(&order.order_id).await;
            shop.reaches(&order.order_id, State::Completed).await;
        } else {
            assert!(cancelled.is_ok(), "one of both is in time");
            shop.reaches(&order.order_id, State::Cancelled).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_id_in_fifty_calls_is_one_order_and_one_answer() {
    let shop = Shop::open().await;
    let request_id = Uuid::now_v7().to_string();
    let calls = (0..50).map(|_| shop.try_place(&[(1, 1)], &request_id));
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let ids: BTreeSet<_> = answers.iter().map(|order| &order.order_id).collect();
    assert_eq!(ids.len(), 1);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    shop.reaches(&answers[0].order_id, State::Completed).await;
    assert_eq!(shop.stock(1).await, 999);
    let list = ListOrdersRequest::default();
    assert_eq!(shop.orders().list_orders(list).await.unwrap().into_inner().orders.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_every_state_whenever_it_comes() {
    let shop = Shop::open().await;
    let order = shop.place(&[(1, 1)]).await;
    let watch = WatchOrderRequest { order_id: order.order_id.clone() };
    let early = shop.orders().watch_order(watch.clone()).await.unwrap().into_inner();
    let early: Vec<_> = early.map(|state| state.unwrap().state()).collect().await;
    assert_eq!(early, [State::DecreasingStock, State::CreatingPayment, State::Completed]);
    let late = shop.orders().watch_order(watch).await.unwrap().into_inner();
    let late: Vec<_> = late.map(|state| state.unwrap().state()).collect().await;
    assert_eq!(late, early);
}
