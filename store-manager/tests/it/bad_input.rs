//! Bad input to every rpc: one answer with one code and reason, all wrong fields at once, and nothing written.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use prost::Message;
use prost_types::{Duration, Timestamp};
use proto::{
    ProductId, google,
    store::{
        catalog::v1::{
            CreateProductRequest, DeleteProductRequest, GetProductRequest, ListProductsRequest,
            product_service_server::ProductService,
        },
        orders::v1::{
            CancelOrderRequest, CreateOrderRequest, GetOrderRequest, ListOrdersRequest,
            WatchOrderRequest, create_order_request::Line, order_service_server::OrderService,
        },
        stock::v1::{
            AdjustStockRequest, GetStockRequest, ListStockRequest, SetStockRequest,
            stock_service_server::StockService,
        },
        users::v1::{
            CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest,
            user_service_server::UserService,
        },
    },
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    commands::reason,
    scene::{ADA, LAPTOP, Scene, order_request},
};

/// Calls an rpc that must answer INVALID_ARGUMENT with just these fields.
macro_rules! wrong_fields {
    ($scene:expr, $service:ident.$rpc:ident, $request:expr, $fields:expr) => {{
        let fields: &[&str] = &$fields;
        let answer = $scene.$service.$rpc(Request::new($request)).await;
        let status = answer.map(drop).expect_err(stringify!($rpc));
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert_eq!(reason(&status), "INVALID_REQUEST");
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        let found: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(found, fields, "{}: {status:?}", stringify!($rpc));
    }};
}

fn bad() -> String {
    "no id".to_owned()
}

fn line(product_id: impl ToString, quantity: i32) -> Line {
    Line { product_id: product_id.to_string(), quantity }
}

#[tokio::test]
async fn orders_name_all_their_wrong_fields_and_write_nothing() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let empty = CreateOrderRequest::default();
    wrong_fields!(scene, orders.create_order, empty, ["user_id", "lines"]);
    let request = CreateOrderRequest {
        user_id: "\0".to_owned(),
        lines: vec![line("x", 0), line(LAPTOP, 10_001), line(LAPTOP, -1)],
        request_id: bad(),
    };
    wrong_fields!(
        scene,
        orders.create_order,
        request,
        [
            "user_id",
            "lines[0].product_id",
            "lines[0].quantity",
            "lines[1].quantity",
            "lines[2].product_id",
            "lines[2].quantity",
            "request_id"
        ]
    );
    let lines = (0..101).map(|_| line(ProductId::new(), 1)).collect();
    let request = CreateOrderRequest { lines, ..order_request(&[]) };
    wrong_fields!(scene, orders.create_order, request, ["lines"]);
    let request = CancelOrderRequest { order_id: bad(), request_id: bad() };
    wrong_fields!(scene, orders.cancel_order, request, ["order_id", "request_id"]);
    let request = GetOrderRequest { order_id: String::new() };
    wrong_fields!(scene, orders.get_order, request, ["order_id"]);
    let request = WatchOrderRequest { order_id: "0".repeat(1_000) };
    wrong_fields!(scene, orders.watch_order, request, ["order_id"]);
    let request = ListOrdersRequest {
        page_size: -1,
        page_token: "token".to_owned(),
        user_id: bad(),
        state: 99,
        older_than: Some(Duration { seconds: -1, nanos: 0 }),
        start_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
        end_time: Some(Timestamp { seconds: 0, nanos: -1 }),
    };
    let all =
        ["user_id", "state", "older_than", "start_time", "end_time", "page_size", "page_token"];
    wrong_fields!(scene, orders.list_orders, request, all);
    let request = ListOrdersRequest {
        start_time: Some(Timestamp { seconds: 1, nanos: 0 }),
        end_time: Some(Timestamp { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    wrong_fields!(scene, orders.list_orders, request, ["end_time"]);
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn a_total_that_overflows_is_a_wrong_field_and_writes_nothing() {
    let scene = Scene::new().await;
    let product_id = scene.product(i64::MAX, 2).await;
    let before = scene.everything().await;
    wrong_fields!(scene, orders.create_order, order_request(&[(product_id, 2)]), ["lines"]);
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn a_product_in_another_currency_is_a_wrong_field_and_writes_nothing() {
    let scene = Scene::new().await;
    let product_id = scene.product(100, 1).await;
    sqlx::query("UPDATE store_manager.products SET currency = 'USD' WHERE product_id = $1")
        .bind(product_id.0)
        .execute(&scene.pool)
        .await
        .unwrap();
    let before = scene.everything().await;
    let request = order_request(&[(LAPTOP, 1), (product_id, 1)]);
    wrong_fields!(scene, orders.create_order, request, ["lines[1].product_id"]);
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn stock_names_all_its_wrong_fields_and_writes_nothing() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    for quantity in [-1, 1_000_000_001, i64::MIN, i64::MAX] {
        let request = SetStockRequest { product_id: bad(), quantity, request_id: bad() };
        let all = ["product_id", "quantity", "request_id"];
        wrong_fields!(scene, stock.set_stock, request, all);
    }
    for quantity_delta in [0, i64::MIN, i64::MAX] {
        let request = AdjustStockRequest { product_id: bad(), quantity_delta, request_id: bad() };
        let all = ["product_id", "quantity_delta", "request_id"];
        wrong_fields!(scene, stock.adjust_stock, request, all);
    }
    wrong_fields!(scene, stock.get_stock, GetStockRequest { product_id: bad() }, ["product_id"]);
    let request =
        ListStockRequest { page_size: i32::MIN, page_token: bad(), below_quantity: Some(-1) };
    let all = ["below_quantity", "page_size", "page_token"];
    wrong_fields!(scene, stock.list_stock, request, all);
    assert_eq!(scene.everything().await, before);
}

#[tokio::test]
async fn products_and_users_name_all_their_wrong_fields_and_write_nothing() {
    let scene = Scene::new().await;
    let before = scene.everything().await;
    let money = |currency_code: &str, units, nanos| {
        Some(google::r#type::Money { currency_code: currency_code.to_owned(), units, nanos })
    };
    let prices =
        [None, money("USD", 1, 0), money("CAD", 0, 0), money("CAD", -1, 0), money("CAD", 1, 1)];
    for price in prices.into_iter().chain([money("", 1, 0), money("CAD", i64::MAX, 0)]) {
        let request = CreateProductRequest {
            name: "x".repeat(201),
            sku: "a\0b".to_owned(),
            price,
            request_id: bad(),
        };
        wrong_fields!(
            scene,
            products.create_product,
            request,
            ["name", "sku", "price", "request_id"]
        );
    }
    let request = CreateProductRequest { name: " ".to_owned(), ..Default::default() };
    wrong_fields!(scene, products.create_product, request, ["name", "sku", "price"]);
    let request = DeleteProductRequest { product_id: bad(), request_id: bad() };
    wrong_fields!(scene, products.delete_product, request, ["product_id", "request_id"]);
    let request = GetProductRequest { product_id: bad() };
    wrong_fields!(scene, products.get_product, request, ["product_id"]);
    let request = ListProductsRequest { page_size: -7, page_token: bad(), search: "x".repeat(201) };
    wrong_fields!(scene, products.list_products, request, ["search", "page_size", "page_token"]);

    for email in ["", "a@", "@b", "no address", "a@b@c", "a b@c", "a\u{7}@b"] {
        let request = CreateUserRequest {
            name: "\n".to_owned(),
            email: email.to_owned(),
            r#type: 4,
            request_id: bad(),
        };
        wrong_fields!(scene, users.create_user, request, ["name", "email", "type", "request_id"]);
    }
    let request = CreateUserRequest::default();
    wrong_fields!(scene, users.create_user, request, ["name", "email", "type"]);
    let request = DeleteUserRequest { user_id: bad(), request_id: bad() };
    wrong_fields!(scene, users.delete_user, request, ["user_id", "request_id"]);
    wrong_fields!(scene, users.get_user, GetUserRequest { user_id: bad() }, ["user_id"]);
    let request = ListUsersRequest { page_size: -1, page_token: bad(), r#type: -1 };
    wrong_fields!(scene, users.list_users, request, ["type", "page_size", "page_token"]);
    assert_eq!(scene.everything().await, before);
}

/// Texts that hurt: ids, half ids, nothing, NUL, long ones, and anything else.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(LAPTOP.to_string()),
        Just(ADA.to_string()),
        Just(LAPTOP.to_string().to_uppercase()),
        Just("\0".to_owned()),
        Just("%_\\'\"".to_owned()),
        Just("x".repeat(10_000)),
        any::<String>(),
    ]
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(-1),
        Just(i64::MAX),
        Just(i64::MIN),
        any::<i64>(),
        1..100_i64
    ]
}

type Fields = (Vec<String>, Vec<i64>);

#[allow(
    clippy::cast_possible_truncation,
    clippy::too_many_lines,
    reason = "any number will do; a list"
)]
async fn call(scene: &Scene, rpc: usize, (texts, numbers): &Fields) -> Result<(), Status> {
    let text = |index: usize| texts[index].clone();
    let number = |index: usize| numbers[index] as i32;
    let money =
        || google::r#type::Money { currency_code: text(2), units: numbers[0], nanos: number(1) };
    let time = |index: usize| Some(Timestamp { seconds: numbers[index], nanos: number(index + 1) });
    let (orders, stock) = (&scene.orders, &scene.stock);
    let (products, users) = (&scene.products, &scene.users);
    match rpc {
        0 => {
            let lines = vec![line(text(0), number(0)), line(text(1), number(1))];
            let request = CreateOrderRequest { user_id: text(2), lines, request_id: text(3) };
            orders.create_order(Request::new(request)).await.map(drop)
        }
        1 => {
            let request = CancelOrderRequest { order_id: text(0), request_id: text(1) };
            orders.cancel_order(Request::new(request)).await.map(drop)
        }
        2 => orders.get_order(Request::new(GetOrderRequest { order_id: text(0) })).await.map(drop),
        3 => {
            let request = ListOrdersRequest {
                page_size: number(0),
                page_token: text(0),
                user_id: text(1),
                state: number(1) % 9,
                older_than: Some(Duration { seconds: numbers[2], nanos: number(3) }),
                start_time: time(1),
                end_time: time(2),
            };
            orders.list_orders(Request::new(request)).await.map(drop)
        }
        4 => orders
            .watch_order(Request::new(WatchOrderRequest { order_id: text(0) }))
            .await
            .map(drop),
        5 => {
            let request =
                SetStockRequest { product_id: text(0), quantity: numbers[0], request_id: text(1) };
            stock.set_stock(Request::new(request)).await.map(drop)
        }
        6 => {
            let request = AdjustStockRequest {
                product_id: text(0),
                quantity_delta: numbers[0],
                request_id: text(1),
            };
            stock.adjust_stock(Request::new(request)).await.map(drop)
        }
        7 => stock.get_stock(Request::new(GetStockRequest { product_id: text(0) })).await.map(drop),
        8 => {
            let request = ListStockRequest {
                page_size: number(0),
                page_token: text(0),
                below_quantity: Some(numbers[1]),
            };
            stock.list_stock(Request::new(request)).await.map(drop)
        }
        9 => {
            let request = CreateProductRequest {
                name: text(0),
                sku: text(1),
                price: Some(money()),
                request_id: text(3),
            };
            products.create_product(Request::new(request)).await.map(drop)
        }
        10 => {
            let request =
                ListProductsRequest { page_size: number(0), page_token: text(0), search: text(1) };
            products.list_products(Request::new(request)).await.map(drop)
        }
        11 => {
            let request = DeleteProductRequest { product_id: text(0), request_id: text(1) };
            products.delete_product(Request::new(request)).await.map(drop)
        }
        12 => {
            let request = CreateUserRequest {
                name: text(0),
                email: format!("{}@{}", text(1), text(2)),
                r#type: number(0) % 5,
                request_id: text(3),
            };
            users.create_user(Request::new(request)).await.map(drop)
        }
        13 => {
            let request = DeleteUserRequest { user_id: text(0), request_id: text(1) };
            users.delete_user(Request::new(request)).await.map(drop)
        }
        14 => users.get_user(Request::new(GetUserRequest { user_id: text(0) })).await.map(drop),
        15 => {
            let request = GetProductRequest { product_id: text(0) };
            products.get_product(Request::new(request)).await.map(drop)
        }
        _ => {
            let request = ListUsersRequest {
                page_size: number(0),
                page_token: text(0),
                r#type: number(1) % 5,
            };
            users.list_users(Request::new(request)).await.map(drop)
        }
    }
}

#[test]
fn no_request_is_answered_with_internal() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new());
    let fields =
        (prop::collection::vec(texts(), 4), prop::collection::vec(numbers(), 4), 0_usize..17);
    let mut runner =
        TestRunner::new(Config { cases: 1_500, failure_persistence: None, ..Config::default() });
    runner
        .run(&fields, |(texts, numbers, rpc)| {
            let answer = runtime.block_on(call(&scene, rpc, &(texts, numbers)));
            if let Err(status) = answer {
                let code = status.code();
                let expected = [
                    Code::InvalidArgument,
                    Code::NotFound,
                    Code::AlreadyExists,
                    Code::FailedPrecondition,
                ];
                prop_assert!(expected.contains(&code), "rpc {}: {:?}", rpc, status);
                prop_assert!(status.get_error_details().error_info().is_some());
            }
            Ok(())
        })
        .unwrap();
    // Bytes that are no request at all do not even reach an rpc.
    assert!(CreateOrderRequest::decode(&[0xFF_u8; 9][..]).is_err());
}
