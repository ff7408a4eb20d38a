//! What an announcement inherits: the saga, the event that caused it, the trace; also after a restart.

use messaging::Record;
use payments::domain::PaymentState::Pending;
use proto::{Event as _, OrderId, PaymentId, store::payments::events::v1::PaymentEvent};

use crate::scene::{Announced, Order, Scene, TRACEPARENT};

fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap()
}

fn assert_caused_by(announced: &Announced, order_id: OrderId, cause: &Record) {
    let cause_id = cause.event_id().unwrap().to_string();
    assert_eq!(announced.causation_id, Some(cause_id), "{}", announced.name);
    assert_eq!(announced.correlation_id, Some(order_id.to_string()), "{}", announced.name);
    let traceparent = announced.traceparent.as_deref().unwrap();
    assert_eq!(trace_id(traceparent), trace_id(TRACEPARENT), "{}", announced.name);
}

#[tokio::test]
async fn the_workers_answer_is_caused_by_the_event_that_asked_for_it() {
    let scene = Scene::new().await;
    for order in [Order::new(), Order::too_expensive()] {
        let taken = order.stock_decreased();
        scene.deliver(&taken).await.unwrap();
        scene.settle(order.order_id).await.unwrap();
        let announced = scene.announced(order.order_id).await;
        assert_eq!(announced.len(), 1);
        assert_caused_by(&announced[0], order.order_id, &taken);
    }
}

#[tokio::test]
async fn a_cancel_is_caused_by_the_request_for_it_whoever_announces_it() {
    let scene = Scene::new().await;
    let unseen = Order::new();
    let cancellation = unseen.cancellation_requested();
    scene.deliver(&cancellation).await.unwrap();
    assert_caused_by(&scene.announced(unseen.order_id).await[0], unseen.order_id, &cancellation);

    let requested = Order::new();
    let cancellation = requested.cancellation_requested();
    scene.deliver(&requested.stock_decreased()).await.unwrap();
    scene.deliver(&cancellation).await.unwrap();
    scene.settle(requested.order_id).await.unwrap();
    let announced = scene.announced(requested.order_id).await;
    assert_caused_by(&announced[0], requested.order_id, &cancellation);

    let pending = scene.order_in(Pending).await;
    let cancellation = pending.cancellation_requested();
    scene.deliver(&cancellation).await.unwrap();
    assert_caused_by(&scene.announced(pending.order_id).await[1], pending.order_id, &cancellation);
}

#[tokio::test]
async fn a_processed_payment_belongs_to_the_orders_saga_and_no_event_caused_it() {
    let scene = Scene::new().await;
    let order = scene.order_in(Pending).await;
    scene.process(scene.payment(order.order_id).await.payment_id, None).await.unwrap();
    let processed = scene.announced(order.order_id).await.remove(1);
    assert_eq!(processed.correlation_id, Some(order.order_id.to_string()));
    assert_eq!(processed.causation_id, None);
}

#[tokio::test]
async fn the_announcements_say_what_store_manager_needs() {
    use proto::store::payments::events::v1::payment_event::Event;
    let scene = Scene::new().await;
    let order = scene.order_in(Pending).await;
    let payment = scene.payment(order.order_id).await;
    let payload = scene.announced(order.order_id).await.remove(0).payload;
    let event = <PaymentEvent as prost::Message>::decode(payload.as_slice()).unwrap();
    assert_eq!(event.key(), Some(order.order_id.to_string().as_str()));
    let Some(Event::PaymentCreated(created)) = event.event else { panic!("{event:?}") };
    assert_eq!(created.payment_id.parse::<PaymentId>(), Ok(payment.payment_id));
    assert_eq!(created.user_id, order.user_id.to_string());
    assert_eq!(created.amount, Some(order.total.into()));
    assert_eq!(created.payment_link, format!("https://pay.example/{}", payment.payment_id));
}
