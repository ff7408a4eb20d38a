//! Each command, run twice: with the same request id it is answered as the first time and nothing more is done.

use std::fs;

use proto::{
    Currency, Money, OrderId, ProductId, UserId,
    store::{
        catalog::v1::{
            CreateProductRequest, DeleteProductRequest, product_service_server::ProductService,
        },
        orders::v1::{
            CancelOrderRequest, CreateOrderRequest, order::State,
            order_service_server::OrderService,
        },
        stock::{
            events::v1::{StockEvent, StockLine, stock_event::Event},
            v1::{AdjustStockRequest, SetStockRequest, stock_service_server::StockService},
        },
        users::v1::{
            CreateUserRequest, DeleteUserRequest, user::Type, user_service_server::UserService,
        },
    },
};
use runtime::fail_points::road::STORE_MANAGER;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    saga::{cancel, completed},
    scene::{ADA, GADGET, LAPTOP, Scene, order_request, payment_processed},
};

pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().expect("every error has its reason").reason.clone()
}

#[test]
fn every_command_has_its_fail_points_before_and_after_its_commit() {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands");
    let names = fs::read_dir(files).unwrap().map(|file| file.unwrap().file_name());
    let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    let commands: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".rs")).collect();
    assert!(commands.contains(&"create_order"), "{commands:?}");
    for command in commands.into_iter().filter(|name| *name != "mod") {
        for point in ["committing", "committed"].map(|place| format!("{command}.{place}")) {
            assert!(STORE_MANAGER.contains(&point.as_str()), "{point} is not on the road");
        }
    }
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Calls an rpc twice with the same request: the same answer, and the second call changes nothing. Then with another
/// request under the same id: refused, and nothing is changed.
macro_rules! answered_as_the_first_time {
    ($scene:expr, $service:ident.$rpc:ident, $request:expr, |$other:ident| $change:expr) => {{
        let mut request = $request;
        request.request_id = new_id();
        let first = $scene.$service.$rpc(Request::new(request.clone())).await.unwrap().into_inner();
        let before = $scene.everything().await;
        let second =
            $scene.$service.$rpc(Request::new(request.clone())).await.unwrap().into_inner();
        assert_eq!(first, second);
        let mut by_metadata = Request::new(request.clone());
        let key = std::mem::take(&mut by_metadata.get_mut().request_id);
        by_metadata.metadata_mut().insert("idempotency-key", key.parse().unwrap());
        assert_eq!(first, $scene.$service.$rpc(by_metadata).await.unwrap().into_inner());
        let mut $other = request;
        $change;
        let status = $scene.$service.$rpc(Request::new($other)).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "REQUEST_ID_REUSED")
        );
        assert_eq!($scene.everything().await, before);
        first
    }};
}

#[tokio::test]
async fn every_command_asked_twice_is_done_once() {
    let scene = Scene::new().await;
    let placed = answered_as_the_first_time!(
        scene,
        orders.create_order,
        order_request(&[(LAPTOP, 1)]),
        |other| other.lines[0].quantity = 2
    );
    let order_id = placed.order.unwrap().order_id;
    let cancelled = answered_as_the_first_time!(
        scene,
        orders.cancel_order,
        CancelOrderRequest { order_id, request_id: String::new() },
        |other| other.order_id = OrderId::new().to_string()
    );
    assert_eq!(cancelled.order.unwrap().state(), State::Cancelled);
    let product_id = LAPTOP.to_string();
    let set = answered_as_the_first_time!(
        scene,
        stock.set_stock,
        SetStockRequest { product_id: product_id.clone(), quantity: 7, request_id: String::new() },
        |other| other.quantity = 8
    );
    assert_eq!(set.stock.unwrap().quantity, 7);
    let adjusted = answered_as_the_first_time!(
        scene,
        stock.adjust_stock,
        AdjustStockRequest { product_id, quantity_delta: -3, request_id: String::new() },
        |other| other.quantity_delta = 3
    );
    assert_eq!(adjusted.stock.unwrap().quantity, 4);
}

#[tokio::test]
async fn every_command_of_the_catalogue_asked_twice_is_done_once() {
    let scene = Scene::new().await;
    let product = answered_as_the_first_time!(
        scene,
        products.create_product,
        CreateProductRequest {
            name: "Mouse".to_owned(),
            sku: "MO1".to_owned(),
            price: Some(Money::new(1_999, Currency::CAD).into()),
            request_id: String::new(),
        },
        |other| other.name = "Rat".to_owned()
    );
    let product_id = product.product.unwrap().product_id;
    assert_eq!(scene.announced_names(&product_id).await, ["ProductCreated"]);
    answered_as_the_first_time!(
        scene,
        products.delete_product,
        DeleteProductRequest { product_id: product_id.clone(), request_id: String::new() },
        |other| other.product_id = ProductId::new().to_string()
    );
    assert_eq!(scene.announced_names(&product_id).await, ["ProductCreated", "ProductDeleted"]);
    let user = answered_as_the_first_time!(
        scene,
        users.create_user,
        CreateUserRequest {
            name: "Grace Hopper".to_owned(),
            email: "ghopper@example.com".to_owned(),
            r#type: Type::Client.into(),
            request_id: String::new(),
        },
        |other| other.r#type = Type::Manager.into()
    );
    let user_id = user.user.unwrap().user_id;
    answered_as_the_first_time!(
        scene,
        users.delete_user,
        DeleteUserRequest { user_id: user_id.clone(), request_id: String::new() },
        |other| other.user_id = UserId::new().to_string()
    );
    assert_eq!(scene.announced_names(&user_id).await, ["UserCreated", "UserDeleted"]);
}

#[tokio::test]
async fn an_order_of_what_is_not_known_is_refused_and_announced_once_for_a_request() {
    let scene = Scene::new().await;
    let unknown = ProductId::new();
    let request =
        CreateOrderRequest { request_id: new_id(), ..order_request(&[(LAPTOP, 1), (unknown, 1)]) };
    let status = scene.orders.create_order(Request::new(request.clone())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "PRODUCT_NOT_FOUND"));
    let resource = status.get_error_details().resource_info().unwrap().clone();
    assert_eq!(resource.resource_name, unknown.to_string());
    let count = announced_refusals(&scene).await;
    assert_eq!(count, (1, 1));
    scene.orders.create_order(Request::new(request)).await.unwrap_err();
    assert_eq!(announced_refusals(&scene).await, count);
    let request =
        CreateOrderRequest { user_id: UserId::new().to_string(), ..order_request(&[(LAPTOP, 1)]) };
    let status = scene.orders.create_order(Request::new(request)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
    assert_eq!(announced_refusals(&scene).await, (2, 2));
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM store_manager.orders")
        .fetch_one(&scene.pool)
        .await
        .unwrap();
    assert_eq!(orders, 0);
}

async fn announced_refusals(scene: &Scene) -> (i64, i64) {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE type LIKE '%OrderCreationFailed'),
             count(*) FILTER (WHERE type LIKE '%SagaCompleted')
         FROM messaging.outbox",
    )
    .fetch_one(&scene.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_request_that_failed_can_succeed_later_under_the_same_id() {
    let scene = Scene::new().await;
    let request = CreateOrderRequest { request_id: new_id(), ..order_request(&[(GADGET, 1)]) };
    scene.remove(GADGET).await;
    scene.orders.create_order(Request::new(request.clone())).await.unwrap_err();
    scene.put_back(GADGET, 1).await;
    scene.orders.create_order(Request::new(request)).await.unwrap();
}

#[tokio::test]
async fn stock_that_is_set_or_adjusted_is_announced_with_the_difference() {
    let scene = Scene::new().await;
    let product_id = GADGET.to_string();
    let set =
        SetStockRequest { product_id: product_id.clone(), quantity: 5, request_id: String::new() };
    scene.stock.set_stock(Request::new(set.clone())).await.unwrap();
    // The quantity that it has already: nothing changes, nothing is announced.
    scene.stock.set_stock(Request::new(set)).await.unwrap();
    let adjust = AdjustStockRequest { product_id, quantity_delta: -4, request_id: String::new() };
    scene.stock.adjust_stock(Request::new(adjust.clone())).await.unwrap();
    let status = scene.stock.adjust_stock(Request::new(adjust)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "STOCK_OUT_OF_RANGE")
    );
    let announced = scene.announced(GADGET).await;
    let lines: Vec<StockLine> = announced
        .iter()
        .filter(|announced| announced.name() == "StockSet")
        .map(|announced| match announced.decode::<StockEvent>().event {
            Some(Event::StockSet(event)) => event.line.unwrap(),
            event => panic!("{event:?}"),
        })
        .collect();
    let told: Vec<_> =
        lines.iter().map(|line| (line.quantity, line.quantity_after, line.stock_version)).collect();
    assert_eq!(told, [(2, 2, 1), (3, 5, 2), (-4, 1, 3)]);
}

#[tokio::test]
async fn a_sku_and_an_address_are_taken_once() {
    let scene = Scene::new().await;
    let product = CreateProductRequest {
        name: "Another".to_owned(),
        sku: "LP12567".to_owned(),
        price: Some(Money::new(1, Currency::CAD).into()),
        request_id: String::new(),
    };
    let user = CreateUserRequest {
        name: "Another Ada".to_owned(),
        email: "ALovelace@Example.com".to_owned(),
        r#type: Type::Client.into(),
        request_id: String::new(),
    };
    let before = scene.everything().await;
    let status = scene.products.create_product(Request::new(product)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "SKU_TAKEN"));
    let status = scene.users.create_user(Request::new(user)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn a_product_goes_only_when_no_open_order_has_it_and_its_name_stays_in_the_others() {
    let scene = Scene::new().await;
    let open = scene.placed().await;
    let status = delete(&scene, LAPTOP).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "PRODUCT_IN_USE")
    );
    let precondition = status.get_error_details().precondition_failure().unwrap().clone();
    assert_eq!(precondition.violations.len(), 1);
    cancel(&scene, open).await.unwrap();
    scene.settle().await;
    let unpaid = completed(&scene).await;
    assert_eq!(reason(&delete(&scene, LAPTOP).await.unwrap_err()), "PRODUCT_IN_USE");
    scene.deliver(&payment_processed(unpaid)).await.unwrap();
    delete(&scene, LAPTOP).await.unwrap();
    assert_eq!(scene.get(unpaid).await.lines[0].name, "Laptop ABC");
    assert_eq!(reason(&delete(&scene, LAPTOP).await.unwrap_err()), "PRODUCT_NOT_FOUND");
}

pub(crate) async fn delete(scene: &Scene, product_id: ProductId) -> Result<(), Status> {
    let request =
        DeleteProductRequest { product_id: product_id.to_string(), request_id: String::new() };
    scene.products.delete_product(Request::new(request)).await.map(drop)
}

#[tokio::test]
async fn a_user_with_orders_stays() {
    let scene = Scene::new().await;
    let order_id = scene.placed().await;
    cancel(&scene, order_id).await.unwrap();
    let request = DeleteUserRequest { user_id: ADA.to_string(), request_id: String::new() };
    let status = scene.users.delete_user(Request::new(request)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "USER_HAS_ORDERS")
    );
    let request =
        DeleteUserRequest { user_id: UserId::new().to_string(), request_id: String::new() };
    let status = scene.users.delete_user(Request::new(request)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test]
async fn an_order_that_is_not_known_is_not_cancelled() {
    let scene = Scene::new().await;
    let status = cancel(&scene, OrderId::new()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
}
