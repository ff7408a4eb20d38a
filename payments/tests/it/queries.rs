//! `GetPayment` and `ListPayments`.

use payments::domain::PaymentState;
use proto::store::payments::v1::{
    GetPaymentRequest, ListPaymentsRequest, Payment, get_payment_request::Id, payment::State,
    payment_service_server::PaymentService as _,
};
use tonic::Request;

use crate::scene::Scene;

async fn list(scene: &Scene, request: ListPaymentsRequest) -> (Vec<Payment>, String) {
    let answer = scene.grpc().list_payments(Request::new(request)).await.unwrap().into_inner();
    (answer.payments, answer.next_page_token)
}

#[tokio::test]
async fn a_payment_is_found_by_its_own_id_and_by_its_orders() {
    let scene = Scene::new().await;
    let order = scene.order_in(PaymentState::Pending).await;
    let payment_id = scene.payment(order.order_id).await.payment_id;
    let get = async |id| {
        let request = Request::new(GetPaymentRequest { id: Some(id) });
        scene.grpc().get_payment(request).await.unwrap().into_inner().payment.unwrap()
    };
    let payment = get(Id::PaymentId(payment_id.to_string())).await;
    assert_eq!(get(Id::OrderId(order.order_id.to_string())).await, payment);
    assert_eq!(payment.payment_id, payment_id.to_string());
    assert_eq!(payment.order_id, order.order_id.to_string());
    assert_eq!(payment.user_id, order.user_id.to_string());
    assert_eq!(payment.amount, Some(order.total.into()));
    assert_eq!(payment.state(), State::Pending);
    assert_eq!(payment.payment_link, format!("https://pay.example/{payment_id}"));
    assert!(payment.create_time.is_some() && payment.update_time.is_some());
}

#[tokio::test]
async fn pages_list_every_payment_once_newest_first() {
    let scene = Scene::new().await;
    let mut expected = Vec::new();
    for _ in 0..7 {
        let order = scene.order_in(PaymentState::Requested).await;
        expected.insert(0, scene.payment(order.order_id).await.payment_id.to_string());
    }
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    let mut sizes = Vec::new();
    loop {
        let request = ListPaymentsRequest { page_size: 3, page_token, ..Default::default() };
        let (payments, next) = list(&scene, request).await;
        sizes.push(payments.len());
        listed.extend(payments.into_iter().map(|payment| payment.payment_id));
        page_token = next;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, expected);
    assert_eq!(sizes, [3, 3, 1]);
}

#[tokio::test]
async fn a_list_holds_only_what_every_filter_lets_through() {
    let scene = Scene::new().await;
    let mut ids = std::collections::HashMap::new();
    for state in PaymentState::ALL {
        let order = scene.order_in(state).await;
        ids.insert(state, (order, scene.payment(order.order_id).await.payment_id.to_string()));
    }
    for (filter, states) in [
        (State::Requested, &[PaymentState::CancelRequested, PaymentState::Requested] as &[_]),
        (State::Pending, &[PaymentState::Pending]),
        (State::Paid, &[PaymentState::Paid]),
        (State::Refused, &[PaymentState::Refused]),
        (State::Cancelled, &[PaymentState::Cancelled]),
    ] {
        let request = ListPaymentsRequest { state: filter.into(), ..Default::default() };
        let listed = list(&scene, request).await.0;
        let listed: Vec<_> = listed.into_iter().map(|payment| payment.payment_id).collect();
        let expected: Vec<_> = states.iter().map(|state| ids[state].1.clone()).collect();
        assert_eq!(listed, expected, "{filter:?}");
    }
    let (order, payment_id) = &ids[&PaymentState::Paid];
    let user_id = order.user_id.to_string();
    let request = ListPaymentsRequest { user_id: user_id.clone(), ..Default::default() };
    let listed = list(&scene, request).await.0;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].payment_id, *payment_id);
    let state = State::Pending.into();
    let request = ListPaymentsRequest { user_id, state, ..Default::default() };
    assert!(list(&scene, request).await.0.is_empty());
}
