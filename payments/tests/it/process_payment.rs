//! `ProcessPayment`: paying, and paying again.

use std::collections::HashSet;

use futures::future::join_all;
use payments::{
    commands::ProcessPaymentError,
    domain::PaymentState::{Paid, Pending},
};
use proto::store::payments::v1::payment::State;
use uuid::Uuid;

use crate::scene::Scene;

#[tokio::test]
async fn a_processed_payment_is_paid_announced_and_charged_once_however_often_it_is_asked_for() {
    let scene = Scene::new().await;
    let order = scene.order_in(Pending).await;
    let payment_id = scene.payment(order.order_id).await.payment_id;
    let first = scene.process(payment_id, None).await.unwrap();
    assert_eq!(first.payment.as_ref().unwrap().state(), State::Paid);
    assert_eq!(scene.process(payment_id, None).await.unwrap(), first);
    scene.settle(order.order_id).await.unwrap();
    assert_eq!(scene.process(payment_id, None).await.unwrap(), first);
    assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated", "PaymentProcessed"]);
    assert_eq!(scene.ledger(order.order_id).await, ["authorised", "captured"]);
}

#[tokio::test]
async fn fifty_parallel_calls_with_one_request_id_get_one_answer_and_pay_once() {
    let scene = Scene::new().await;
    let order = scene.order_in(Pending).await;
    let payment_id = scene.payment(order.order_id).await.payment_id;
    let request_id = Some(Uuid::now_v7());
    let answers = join_all((0..50).map(|_| scene.process(payment_id, request_id))).await;
    let answers: HashSet<_> =
        answers.into_iter().map(|answer| format!("{:?}", answer.unwrap())).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated", "PaymentProcessed"]);
}

#[tokio::test]
async fn fifty_parallel_calls_without_a_request_id_pay_once() {
    let scene = Scene::new().await;
    let order = scene.order_in(Pending).await;
    let payment_id = scene.payment(order.order_id).await.payment_id;
    let answers = join_all((0..50).map(|_| scene.process(payment_id, None))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(scene.announced_names(order.order_id).await, ["PaymentCreated", "PaymentProcessed"]);
}

#[tokio::test]
async fn a_request_id_belongs_to_one_request() {
    let scene = Scene::new().await;
    let (one, other) = (scene.order_in(Pending).await, scene.order_in(Pending).await);
    let request_id = Some(Uuid::now_v7());
    let payment_id = scene.payment(one.order_id).await.payment_id;
    scene.process(payment_id, request_id).await.unwrap();
    let payment_id = scene.payment(other.order_id).await.payment_id;
    let error = scene.process(payment_id, request_id).await.unwrap_err();
    assert!(matches!(error, ProcessPaymentError::Request(_)), "{error:?}");
    assert_eq!(scene.payment(other.order_id).await.state, Pending);
}

#[tokio::test]
async fn a_failed_request_is_not_kept() {
    let scene = Scene::new().await;
    let order = scene.order_in(payments::domain::PaymentState::Requested).await;
    let payment_id = scene.payment(order.order_id).await.payment_id;
    let request_id = Some(Uuid::now_v7());
    let written = scene.written().await;
    let error = scene.process(payment_id, request_id).await.unwrap_err();
    assert!(matches!(error, ProcessPaymentError::NotPending { .. }), "{error:?}");
    assert_eq!(scene.written().await, written);
    scene.settle(order.order_id).await.unwrap();
    scene.process(payment_id, request_id).await.unwrap();
    assert_eq!(scene.payment(order.order_id).await.state, Paid);
}
