//! Every state of the row, or none, met by every input, twice.

use payments::{commands::ProcessPaymentError, domain::PaymentState};
use proto::PaymentId;

use crate::scene::{Order, Scene};

use PaymentState::{CancelRequested, Cancelled, Paid, Pending, Refused, Requested};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    StockDecreased,
    OrderCancellationRequested,
    ProcessPayment,
    Worker,
}

/// The state before, the input, the state after, what is announced.
type Pair = (Option<PaymentState>, Input, Option<PaymentState>, &'static [&'static str]);

const PAIRS: [Pair; 28] = [
    (None, Input::StockDecreased, Some(Requested), &[]),
    (None, Input::OrderCancellationRequested, Some(Cancelled), &["PaymentCancelled"]),
    (None, Input::ProcessPayment, None, &[]),
    (None, Input::Worker, None, &[]),
    (Some(Requested), Input::StockDecreased, Some(Requested), &[]),
    (Some(Requested), Input::OrderCancellationRequested, Some(CancelRequested), &[]),
    (Some(Requested), Input::ProcessPayment, Some(Requested), &[]),
    (Some(Requested), Input::Worker, Some(Pending), &["PaymentCreated"]),
    (Some(CancelRequested), Input::StockDecreased, Some(CancelRequested), &[]),
    (Some(CancelRequested), Input::OrderCancellationRequested, Some(CancelRequested), &[]),
    (Some(CancelRequested), Input::ProcessPayment, Some(CancelRequested), &[]),
    (Some(CancelRequested), Input::Worker, Some(Cancelled), &["PaymentCancelled"]),
    (Some(Pending), Input::StockDecreased, Some(Pending), &[]),
    (Some(Pending), Input::OrderCancellationRequested, Some(Cancelled), &["PaymentCancelled"]),
    (Some(Pending), Input::ProcessPayment, Some(Paid), &["PaymentProcessed"]),
    (Some(Pending), Input::Worker, Some(Pending), &[]),
    (Some(Paid), Input::StockDecreased, Some(Paid), &[]),
    (Some(Paid), Input::OrderCancellationRequested, Some(Paid), &[]),
    (Some(Paid), Input::ProcessPayment, Some(Paid), &[]),
    (Some(Paid), Input::Worker, Some(Paid), &[]),
    (Some(Refused), Input::StockDecreased, Some(Refused), &[]),
    (Some(Refused), Input::OrderCancellationRequested, Some(Refused), &[]),
    (Some(Refused), Input::ProcessPayment, Some(Refused), &[]),
    (Some(Refused), Input::Worker, Some(Refused), &[]),
    (Some(Cancelled), Input::StockDecreased, Some(Cancelled), &[]),
    (Some(Cancelled), Input::OrderCancellationRequested, Some(Cancelled), &[]),
    (Some(Cancelled), Input::ProcessPayment, Some(Cancelled), &[]),
    (Some(Cancelled), Input::Worker, Some(Cancelled), &[]),
];

async fn play(scene: &Scene, order: &Order, input: Input) {
    match input {
        Input::StockDecreased => {
            scene.deliver_unremembered(&order.stock_decreased()).await.unwrap();
        }
        Input::OrderCancellationRequested => {
            scene.deliver_unremembered(&order.cancellation_requested()).await.unwrap();
        }
        Input::ProcessPayment => process(scene, order).await,
        Input::Worker => scene.settle(order.order_id).await.unwrap(),
    }
}

async fn process(scene: &Scene, order: &Order) {
    let before = scene.find(order.order_id).await;
    let payment_id = before.as_ref().map_or_else(PaymentId::new, |payment| payment.payment_id);
    let answer = scene.process(payment_id, None).await;
    match before.map(|payment| payment.state) {
        None => assert!(matches!(answer, Err(ProcessPaymentError::NoSuchPayment(_)))),
        Some(Pending | Paid) => assert!(answer.is_ok(), "{answer:?}"),
        Some(Requested | CancelRequested | Refused | Cancelled) => {
            assert!(matches!(answer, Err(ProcessPaymentError::NotPending { .. })), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn every_input_does_what_is_written_for_the_state_it_meets_and_nothing_the_second_time() {
    let scene = Scene::new().await;
    for (before, input, after, events) in PAIRS {
        let pair = format!("{before:?} on {input:?}");
        let order = match before {
            Some(state) => scene.order_in(state).await,
            None => Order::new(),
        };
        let so_far = scene.announced_names(order.order_id).await;
        play(&scene, &order, input).await;
        let once = scene.find(order.order_id).await;
        assert_eq!(once.as_ref().map(|payment| payment.state), after, "{pair}");
        let announced = scene.announced_names(order.order_id).await;
        assert_eq!(announced[so_far.len()..], *events, "{pair}");

        play(&scene, &order, input).await;
        assert_eq!(scene.find(order.order_id).await, once, "{pair} twice");
        assert_eq!(scene.announced_names(order.order_id).await, announced, "{pair} twice");
    }
}

#[tokio::test]
async fn what_is_cancelled_is_let_go_at_the_provider_and_what_is_paid_is_charged() {
    let scene = Scene::new().await;
    for (state, ledger) in [
        (Requested, &["authorised"] as &[_]),
        (CancelRequested, &["voided"]),
        (Pending, &["authorised"]),
        (Paid, &["authorised", "captured"]),
        (Refused, &["declined"]),
        (Cancelled, &["authorised", "voided"]),
    ] {
        let order = scene.order_in(state).await;
        scene.settle(order.order_id).await.unwrap();
        scene.settle(order.order_id).await.unwrap();
        assert_eq!(scene.ledger(order.order_id).await, ledger, "{state}");
        assert_eq!(scene.payment(order.order_id).await.owed_call(), None, "{state}");
    }
}

#[tokio::test]
async fn an_order_cancelled_before_its_stock_was_seen_to_be_taken_never_reaches_the_provider() {
    let scene = Scene::new().await;
    let order = Order::new();
    scene.deliver(&order.cancellation_requested()).await.unwrap();
    scene.deliver(&order.stock_decreased()).await.unwrap();
    scene.settle(order.order_id).await.unwrap();
    assert_eq!(scene.payment(order.order_id).await.state, Cancelled);
    assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCancelled"]);
    assert!(scene.ledger(order.order_id).await.is_empty());
}

#[tokio::test]
async fn an_event_delivered_twice_changes_nothing() {
    let scene = Scene::new().await;
    let order = Order::new();
    let (taken, cancelled) = (order.stock_decreased(), order.cancellation_requested());
    for record in [&taken, &taken] {
        scene.deliver(record).await.unwrap();
    }
    scene.settle(order.order_id).await.unwrap();
    for record in [&taken, &cancelled, &cancelled, &taken] {
        scene.deliver(record).await.unwrap();
    }
    let announced = scene.announced_names(order.order_id).await;
    assert_eq!(announced, ["PaymentCreated", "PaymentCancelled"]);
}
