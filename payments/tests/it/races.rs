//! What happens at the same time ends as if one came after the other.

use std::time::Duration;

use futures::future::join_all;
use payments::domain::PaymentState::{
    CancelRequested, Cancelled, Paid, Pending, Refused, Requested,
};

use crate::scene::{Order, Scene};

/// A pause of up to two milliseconds that differs from round to round.
async fn pause(round: u64, factor: u64) {
    tokio::time::sleep(Duration::from_micros(round * factor % 2_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_is_never_both_paid_and_cancelled() {
    let scene = Scene::new().await;
    let (mut paid, mut cancelled) = (0, 0);
    for round in 0..100 {
        let order = scene.order_in(Pending).await;
        let payment_id = scene.payment(order.order_id).await.payment_id;
        let cancellation = order.cancellation_requested();
        let (answer, cancel, ()) = tokio::join!(
            async {
                pause(round, 337).await;
                scene.process(payment_id, None).await
            },
            async {
                pause(round, 613).await;
                scene.deliver(&cancellation).await
            },
            async {
                pause(round, 991).await;
                scene.settle(order.order_id).await.unwrap();
            },
        );
        cancel.unwrap();
        scene.settle(order.order_id).await.unwrap();
        let state = scene.payment(order.order_id).await.state;
        let announced = scene.announced_names(order.order_id).await;
        let ledger = scene.ledger(order.order_id).await;
        if answer.is_ok() {
            paid += 1;
            assert_eq!(state, Paid, "round {round}");
            assert_eq!(announced, ["PaymentCreated", "PaymentProcessed"], "round {round}");
            assert_eq!(ledger, ["authorised", "captured"], "round {round}");
        } else {
            cancelled += 1;
            assert_eq!(state, Cancelled, "round {round}");
            assert_eq!(announced, ["PaymentCreated", "PaymentCancelled"], "round {round}");
            assert_eq!(ledger, ["authorised", "voided"], "round {round}");
        }
    }
    assert!(paid > 0 && cancelled > 0, "no race: {paid} paid, {cancelled} cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_while_the_provider_is_asked_ends_cancelled_and_let_go() {
    let scene = Scene::new().await;
    for round in 0..100 {
        let order = if round % 5 == 0 { Order::too_expensive() } else { Order::new() };
        scene.deliver(&order.stock_decreased()).await.unwrap();
        let cancellation = order.cancellation_requested();
        let (settled, cancel) = tokio::join!(scene.settle(order.order_id), async {
            pause(round, 337).await;
            scene.deliver(&cancellation).await
        });
        settled.unwrap();
        cancel.unwrap();
        scene.settle(order.order_id).await.unwrap();
        scene.settle(order.order_id).await.unwrap();
        let state = scene.payment(order.order_id).await.state;
        let announced = scene.announced_names(order.order_id).await;
        let ledger = scene.ledger(order.order_id).await;
        assert!(!ledger.contains(&String::from("captured")), "round {round}");
        match state {
            // The refusal came first: that is its announcement.
            Refused => assert_eq!(announced, ["PaymentCreationFailed"], "round {round}"),
            Cancelled => {
                assert_eq!(announced.last().unwrap(), "PaymentCancelled", "round {round}");
                let held = ledger.contains(&String::from("authorised"));
                assert!(!held || ledger.last().unwrap() == "voided", "round {round}: {ledger:?}");
            }
            Requested | CancelRequested | Pending | Paid => panic!("round {round}: {state}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_of_several_processes_announce_once_and_authorise_once() {
    let scene = Scene::new().await;
    for _ in 0..20 {
        let order = scene.order_in(Requested).await;
        for settled in join_all((0..4).map(|_| scene.settle(order.order_id))).await {
            settled.unwrap();
        }
        assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated"]);
        assert_eq!(scene.ledger(order.order_id).await, ["authorised"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_events_of_an_order_may_come_at_the_same_time() {
    let scene = Scene::new().await;
    for round in 0..50 {
        let order = Order::new();
        let (taken, cancellation) = (order.stock_decreased(), order.cancellation_requested());
        let (one, other) = tokio::join!(scene.deliver(&taken), async {
            pause(round, 337).await;
            scene.deliver(&cancellation).await
        });
        one.unwrap();
        other.unwrap();
        scene.settle(order.order_id).await.unwrap();
        assert_eq!(scene.payment(order.order_id).await.state, Cancelled, "round {round}");
        let announced = scene.announced_names(order.order_id).await;
        assert_eq!(announced, ["PaymentCancelled"], "round {round}");
    }
}
