//! Bad input: one right code, reason and all wrong fields at once; nothing is written.

use messaging::HandleError;
use payments::{domain::PaymentState, grpc::reason};
use proptest::prelude::*;
use proto::{
    Event, OrderId, PaymentId,
    store::{
        orders::events::v1::{OrderCreated, OrderEvent, SagaCompleted},
        payments::v1::{
            GetPaymentRequest, ListPaymentsRequest, ProcessPaymentRequest, get_payment_request::Id,
            payment_service_server::PaymentService as _,
        },
        stock::events::v1::{StockDecreased, StockEvent, StockSet},
    },
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::scene::{Order, Scene, record};

/// Checks the code and the reason, and answers the wrong fields.
fn told(status: &Status, code: Code, expected: &str) -> Vec<String> {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().expect("every error has its reason");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("payments", expected), "{status:?}");
    let fields = details.bad_request().map(|request| &request.field_violations);
    fields.into_iter().flatten().map(|violation| violation.field.clone()).collect()
}

async fn process(scene: &Scene, payment_id: &str, request_id: &str) -> Status {
    let request =
        ProcessPaymentRequest { payment_id: payment_id.into(), request_id: request_id.into() };
    scene.grpc().process_payment(Request::new(request)).await.unwrap_err()
}

async fn get(scene: &Scene, id: Option<Id>) -> Status {
    scene.grpc().get_payment(Request::new(GetPaymentRequest { id })).await.unwrap_err()
}

async fn list(scene: &Scene, request: ListPaymentsRequest) -> Status {
    scene.grpc().list_payments(Request::new(request)).await.unwrap_err()
}

#[tokio::test]
async fn malformed_fields_are_all_named_and_nothing_is_written() {
    let scene = Scene::new().await;
    let written = scene.written().await;
    let invalid = Code::InvalidArgument;
    let status = process(&scene, "17", "x").await;
    assert_eq!(told(&status, invalid, reason::INVALID_REQUEST), ["payment_id", "request_id"]);
    let status = process(&scene, "", "").await;
    assert_eq!(told(&status, invalid, reason::INVALID_REQUEST), ["payment_id"]);
    let status = process(&scene, &"a".repeat(1_000_000), "\0").await;
    assert_eq!(told(&status, invalid, reason::INVALID_REQUEST), ["payment_id", "request_id"]);

    let status = get(&scene, None).await;
    assert_eq!(told(&status, invalid, reason::INVALID_REQUEST), ["id"]);
    let status = get(&scene, Some(Id::PaymentId(String::new()))).await;
    assert_eq!(told(&status, invalid, reason::INVALID_REQUEST), ["payment_id"]);
    let status = get(&scene, Some(Id::OrderId("order".into()))).await;
    assert_eq!(told(&status, invalid, reason::INVALID_REQUEST), ["order_id"]);

    let request = ListPaymentsRequest {
        page_size: -1,
        page_token: "%".into(),
        user_id: "me".into(),
        state: 99,
    };
    let fields = told(&list(&scene, request).await, invalid, reason::INVALID_REQUEST);
    assert_eq!(fields, ["user_id", "state", "page_size", "page_token"]);
    assert_eq!(scene.written().await, written);
}

#[tokio::test]
async fn a_page_token_is_refused_with_other_filters() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        scene.order_in(PaymentState::Requested).await;
    }
    let request = ListPaymentsRequest { page_size: 1, ..Default::default() };
    let first = scene.grpc().list_payments(Request::new(request)).await.unwrap().into_inner();
    let page_token = first.next_page_token;
    let request = ListPaymentsRequest { page_token, state: 1, ..Default::default() };
    let status = list(&scene, request).await;
    let fields = told(&status, Code::InvalidArgument, reason::INVALID_REQUEST);
    assert_eq!(fields, ["page_token"]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let scene = Scene::new().await;
    let unknown = PaymentId::new().to_string();
    for status in [
        process(&scene, &unknown, "").await,
        get(&scene, Some(Id::PaymentId(unknown.clone()))).await,
    ] {
        told(&status, Code::NotFound, reason::PAYMENT_NOT_FOUND);
        let details = status.get_error_details();
        let resource = details.resource_info().unwrap();
        assert_eq!(resource.resource_name, unknown);
    }
    let status = get(&scene, Some(Id::OrderId(OrderId::new().to_string()))).await;
    told(&status, Code::NotFound, reason::PAYMENT_NOT_FOUND);
}

#[tokio::test]
async fn a_payment_that_is_not_pending_says_so() {
    let scene = Scene::new().await;
    for state in [
        PaymentState::Requested,
        PaymentState::CancelRequested,
        PaymentState::Refused,
        PaymentState::Cancelled,
    ] {
        let order = scene.order_in(state).await;
        let written = scene.written().await;
        let payment_id = scene.payment(order.order_id).await.payment_id.to_string();
        let status = process(&scene, &payment_id, &Uuid::now_v7().to_string()).await;
        told(&status, Code::FailedPrecondition, reason::PAYMENT_NOT_PENDING);
        let details = status.get_error_details();
        let violation = &details.precondition_failure().unwrap().violations[0];
        assert_eq!(violation.subject, payment_id);
        assert_eq!(scene.written().await, written, "{state}");
    }
}

#[tokio::test]
async fn a_request_id_of_another_request_says_so() {
    let scene = Scene::new().await;
    let (one, other) =
        (scene.order_in(PaymentState::Pending).await, scene.order_in(PaymentState::Pending).await);
    let request_id = Uuid::now_v7();
    scene.process(scene.payment(one.order_id).await.payment_id, Some(request_id)).await.unwrap();
    let payment_id = scene.payment(other.order_id).await.payment_id.to_string();
    let status = process(&scene, &payment_id, &request_id.to_string()).await;
    let fields = told(&status, Code::InvalidArgument, reason::REQUEST_ID_REUSED);
    assert_eq!(fields, ["request_id"]);
}

#[tokio::test]
async fn a_database_that_is_down_is_told_with_a_time_to_try_again_and_nothing_else() {
    let scene = Scene::new().await;
    scene.pool.close().await;
    let id = PaymentId::new().to_string();
    for status in [
        process(&scene, &id, &Uuid::now_v7().to_string()).await,
        get(&scene, Some(Id::PaymentId(id.clone()))).await,
        list(&scene, ListPaymentsRequest::default()).await,
    ] {
        told(&status, Code::Unavailable, reason::DATABASE_UNAVAILABLE);
        assert!(status.get_error_details().retry_info().is_some());
        assert!(!status.message().contains("pool"), "{status:?}");
    }
}

#[tokio::test]
async fn a_record_that_can_never_be_handled_is_rejected_and_writes_nothing() {
    let scene = Scene::new().await;
    let id = OrderId::new().to_string();
    let money = |units, nanos, currency: &str| proto::google::r#type::Money {
        currency_code: currency.to_owned(),
        units,
        nanos,
    };
    let stock = |order_id: &str, user_id: &str, total| {
        StockEvent::from(StockDecreased {
            order_id: order_id.to_owned(),
            user_id: user_id.to_owned(),
            total,
            lines: Vec::new(),
        })
        .encode_to_vec()
    };
    use prost::Message as _;
    let ce_id = Uuid::now_v7().to_string();
    for payload in [
        vec![0xff, 0xff, 0xff],
        Vec::new(),
        stock("1", &id, Some(money(1, 0, "CAD"))),
        stock(&id, "", Some(money(1, 0, "CAD"))),
        stock(&id, &id, None),
        stock(&id, &id, Some(money(0, 0, "CAD"))),
        stock(&id, &id, Some(money(-1, 0, "CAD"))),
        stock(&id, &id, Some(money(1, 1, "CAD"))),
        stock(&id, &id, Some(money(1, 0, "dollars"))),
        stock(&id, &id, Some(money(i64::MAX, 0, "CAD"))),
    ] {
        let record = record(StockEvent::TOPIC, &id, &[("ce_id", &ce_id)], payload);
        let error = scene.deliver(&record).await.unwrap_err();
        let parked = matches!(error, HandleError::Reject(_) | HandleError::Undecodable(_));
        assert!(parked, "{error:?}");
    }
    let elsewhere = record("store.users.events.v1", &id, &[("ce_id", &ce_id)], Vec::new());
    assert!(matches!(scene.deliver(&elsewhere).await, Err(HandleError::Reject(_))));
    assert_eq!(scene.written().await, (0, 0, 0));
}

#[tokio::test]
async fn events_that_are_not_for_payments_change_nothing() {
    use prost::Message as _;
    let scene = Scene::new().await;
    let order = Order::new();
    let ignored = [
        (OrderEvent::TOPIC, OrderEvent::from(OrderCreated::default()).encode_to_vec()),
        (OrderEvent::TOPIC, OrderEvent::from(SagaCompleted::default()).encode_to_vec()),
        (StockEvent::TOPIC, StockEvent::from(StockSet::default()).encode_to_vec()),
    ];
    for (topic, payload) in ignored {
        let ce_id = Uuid::now_v7().to_string();
        let key = order.order_id.to_string();
        scene.deliver(&record(topic, &key, &[("ce_id", &ce_id)], payload)).await.unwrap();
    }
    assert_eq!(scene.written().await, (0, 0, 0));
}

/// Ids that are right, nearly right, or nothing of the kind.
fn id_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string()),
        any::<u128>().prop_map(|id| Uuid::from_u128(id).simple().to_string()),
        "[0-9a-f-]{36}",
        any::<String>(),
    ]
}

#[test]
fn no_random_request_is_an_internal_error() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let requests = (id_text(), id_text(), any::<bool>(), any::<i32>(), any::<String>(), -3..9i32);
    let outcome =
        runner.run(&requests, |(id, request_id, by_order, page_size, page_token, state)| {
            runtime.block_on(async {
                let statuses = [
                    scene
                        .grpc()
                        .process_payment(Request::new(ProcessPaymentRequest {
                            payment_id: id.clone(),
                            request_id,
                        }))
                        .await
                        .err(),
                    scene
                        .grpc()
                        .get_payment(Request::new(GetPaymentRequest {
                            id: Some(if by_order {
                                Id::OrderId(id.clone())
                            } else {
                                Id::PaymentId(id.clone())
                            }),
                        }))
                        .await
                        .err(),
                    scene
                        .grpc()
                        .list_payments(Request::new(ListPaymentsRequest {
                            page_size,
                            page_token,
                            user_id: id,
                            state,
                        }))
                        .await
                        .err(),
                ];
                for status in statuses.into_iter().flatten() {
                    let right = matches!(status.code(), Code::InvalidArgument | Code::NotFound);
                    prop_assert!(right, "{status:?}");
                    prop_assert!(status.get_error_details().error_info().is_some());
                }
                Ok(())
            })
        });
    outcome.unwrap();
}
