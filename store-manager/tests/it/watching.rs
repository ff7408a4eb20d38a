//! Watching an order: what it has reached, then what it reaches, until its end.

use std::time::Duration;

use futures::StreamExt as _;
use proto::{
    OrderId,
    store::orders::v1::{WatchOrderRequest, order::State, order_service_server::OrderService},
};
use store_manager::grpc::OrdersGrpc;
use tokio::time::timeout;
use tonic::{Code, Request};

use crate::{
    commands::reason,
    saga::{cancel, completed},
    scene::{Scene, payment_cancelled, payment_created},
};

const SOON: Duration = Duration::from_millis(600);

type States = <OrdersGrpc as OrderService>::WatchOrderStream;

async fn watch(scene: &Scene, order_id: OrderId) -> States {
    let request = WatchOrderRequest { order_id: order_id.to_string() };
    scene.orders.watch_order(Request::new(request)).await.unwrap().into_inner()
}

async fn next(states: &mut States) -> Option<State> {
    timeout(Duration::from_secs(10), states.next())
        .await
        .unwrap()
        .map(|reached| reached.unwrap().state())
}

#[tokio::test]
async fn a_watch_tells_every_state_as_it_is_reached_and_ends_with_the_order() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    let mut states = watch(&scene, order_id).await;
    assert_eq!(next(&mut states).await, Some(State::DecreasingStock));
    scene.deliver(&scene.announced(order_id).await[0].record()).await.unwrap();
    let reached = timeout(SOON, next(&mut states)).await;
    assert_eq!(reached.expect("it is woken, not polled"), Some(State::CreatingPayment));
    scene.deliver(&payment_created(order_id)).await.unwrap();
    assert_eq!(next(&mut states).await, Some(State::Completed));
    assert_eq!(next(&mut states).await, None);
}

#[tokio::test]
async fn a_watch_sees_what_another_process_did() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    let mut states = watch(&scene, order_id).await;
    assert_eq!(next(&mut states).await, Some(State::DecreasingStock));
    // Nobody here is told of this commit.
    let created = scene.announced(order_id).await[0].record();
    scene.deliver_unremembered(&created).await.unwrap();
    assert_eq!(next(&mut states).await, Some(State::CreatingPayment));
}

#[tokio::test]
async fn a_late_watch_tells_the_whole_history_and_waits_if_the_order_goes_on() {
    let scene = Scene::new().await;
    let order_id = completed(&scene).await;
    cancel(&scene, order_id).await.unwrap();
    let mut states = watch(&scene, order_id).await;
    for state in
        [State::DecreasingStock, State::CreatingPayment, State::Completed, State::Cancelling]
    {
        assert_eq!(next(&mut states).await, Some(state));
    }
    scene.deliver(&payment_cancelled(order_id)).await.unwrap();
    scene.settle().await;
    assert_eq!(next(&mut states).await, Some(State::Cancelled));
    assert_eq!(next(&mut states).await, None);
}

#[tokio::test]
async fn an_order_that_is_not_known_is_not_watched() {
    let scene = Scene::new().await;
    let request = WatchOrderRequest { order_id: OrderId::new().to_string() };
    let status = scene.orders.watch_order(Request::new(request)).await.map(drop).unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
}
