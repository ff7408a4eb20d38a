//! What can be asked: one thing, lists with their filters, page by page.

use prost_types::{Duration, Timestamp};
use proto::{
    OrderId, ProductId, UserId,
    store::{
        catalog::v1::{
            GetProductRequest, ListProductsRequest, product_service_server::ProductService,
        },
        orders::v1::{
            GetOrderRequest, ListOrdersRequest, order::State, order_service_server::OrderService,
        },
        stock::v1::{GetStockRequest, ListStockRequest, stock_service_server::StockService},
        users::v1::{
            GetUserRequest, ListUsersRequest, user::Type, user_service_server::UserService,
        },
    },
};
use tonic::{Code, Request};

use crate::{
    commands::reason,
    saga::cancel,
    scene::{ADA, GADGET, KEYBOARD, LAPTOP, Scene, id},
};

async fn listed(scene: &Scene, request: ListOrdersRequest) -> Vec<String> {
    let answer = scene.orders.list_orders(Request::new(request)).await.unwrap().into_inner();
    answer.orders.into_iter().map(|order| order.order_id).collect()
}

#[tokio::test]
async fn orders_are_listed_newest_first_page_by_page_each_once_with_its_lines() {
    let scene = Scene::new().await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(scene.order(&[(KEYBOARD, 1), (LAPTOP, 2)]).await.unwrap());
    }
    placed.reverse();
    let mut request = ListOrdersRequest { page_size: 2, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page =
            scene.orders.list_orders(Request::new(request.clone())).await.unwrap().into_inner();
        assert!(page.orders.len() <= 2);
        found.extend(page.orders);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, placed);
    let other = ListOrdersRequest { user_id: ADA.to_string(), ..request };
    let status = scene.orders.list_orders(Request::new(other)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn orders_are_filtered_by_user_state_and_time() {
    let scene = Scene::new().await;
    let (kept, cancelled) = (scene.placed().await, scene.placed().await);
    cancel(&scene, cancelled).await.unwrap();
    let by_state = |state: State| ListOrdersRequest { state: state.into(), ..Default::default() };
    assert_eq!(listed(&scene, by_state(State::Cancelled)).await, [cancelled.to_string()]);
    assert_eq!(listed(&scene, by_state(State::DecreasingStock)).await, [kept.to_string()]);
    let by_user =
        |user_id: UserId| ListOrdersRequest { user_id: user_id.to_string(), ..Default::default() };
    assert_eq!(listed(&scene, by_user(ADA)).await.len(), 2);
    assert_eq!(listed(&scene, by_user(UserId::new())).await.len(), 0);
    let second = scene.get(cancelled).await.create_time;
    let from = ListOrdersRequest { start_time: second, ..Default::default() };
    assert_eq!(listed(&scene, from).await, [cancelled.to_string()]);
    let before = ListOrdersRequest { end_time: second, ..Default::default() };
    assert_eq!(listed(&scene, before).await, [kept.to_string()]);
    let first_second = Timestamp { seconds: -62_135_596_800, nanos: 0 };
    let all = ListOrdersRequest { start_time: Some(first_second), ..Default::default() };
    assert_eq!(listed(&scene, all).await.len(), 2);
    for (seconds, count) in [(0, 2), (3_600, 0), (315_576_000_000, 0)] {
        let older_than = Some(Duration { seconds, nanos: 0 });
        let request = ListOrdersRequest { older_than, ..Default::default() };
        assert_eq!(listed(&scene, request).await.len(), count, "{seconds}");
    }
}

#[tokio::test]
async fn stock_is_listed_with_names_and_below_a_quantity() {
    let scene = Scene::new().await;
    let request = ListStockRequest { below_quantity: Some(91), ..Default::default() };
    let stock = scene.stock.list_stock(Request::new(request)).await.unwrap().into_inner().stock;
    let told: Vec<_> = stock.iter().map(|stock| (stock.sku.as_str(), stock.quantity)).collect();
    assert_eq!(told, [("GG12345", 2), ("SC27289", 90)]);
    let request = ListStockRequest { page_size: 3, ..Default::default() };
    let page = scene.stock.list_stock(Request::new(request.clone())).await.unwrap().into_inner();
    assert_eq!(page.stock.len(), 3);
    let request = ListStockRequest { page_token: page.next_page_token, ..request };
    let page = scene.stock.list_stock(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((page.stock.len(), page.next_page_token.as_str()), (1, ""));
    let request = GetStockRequest { product_id: GADGET.to_string() };
    let stock =
        scene.stock.get_stock(Request::new(request)).await.unwrap().into_inner().stock.unwrap();
    assert_eq!((stock.quantity, stock.name.as_str()), (2, "Gadget XYZ"));
    assert_eq!(stock.price.unwrap().nanos, 750_000_000);
}

#[tokio::test]
async fn products_are_found_by_a_part_of_name_or_sku_whatever_the_case() {
    let scene = Scene::new().await;
    for (search, count) in
        [("", 4), ("LAPTOP", 1), ("kb678", 1), ("e", 3), ("%", 0), ("_", 0), ("\\", 0)]
    {
        let request = ListProductsRequest { search: search.to_owned(), ..Default::default() };
        let found = scene.products.list_products(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(found.products.len(), count, "{search}");
    }
    let request = GetProductRequest { product_id: LAPTOP.to_string() };
    let found = scene.products.get_product(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(found.product.unwrap().price.unwrap().units, 1_999);
}

#[tokio::test]
async fn users_are_listed_by_type() {
    let scene = Scene::new().await;
    for (user_type, count) in [(Type::Unspecified, 5), (Type::Client, 3), (Type::Manager, 1)] {
        let request = ListUsersRequest { r#type: user_type.into(), ..Default::default() };
        let found = scene.users.list_users(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(found.users.len(), count);
    }
    let request = GetUserRequest { user_id: ADA.to_string() };
    let found = scene.users.get_user(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(found.user.unwrap().name, "Ada Lovelace");
}

#[tokio::test]
async fn what_is_not_known_is_not_found() {
    let scene = Scene::new().await;
    let product_id = ProductId::new().to_string();
    let order = GetOrderRequest { order_id: OrderId::new().to_string() };
    let stock = GetStockRequest { product_id: product_id.clone() };
    let product = GetProductRequest { product_id };
    let user = GetUserRequest { user_id: UserId::new().to_string() };
    for (status, expected) in [
        (scene.orders.get_order(Request::new(order)).await.map(drop), "ORDER_NOT_FOUND"),
        (scene.stock.get_stock(Request::new(stock)).await.map(drop), "PRODUCT_NOT_FOUND"),
        (scene.products.get_product(Request::new(product)).await.map(drop), "PRODUCT_NOT_FOUND"),
        (scene.users.get_user(Request::new(user)).await.map(drop), "USER_NOT_FOUND"),
    ] {
        let status = status.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, expected));
    }
}

#[tokio::test]
async fn an_order_is_read_as_it_was_answered() {
    let scene = Scene::new().await;
    let placed = scene.order(&[(LAPTOP, 1), (GADGET, 1)]).await.unwrap();
    assert_eq!(scene.get(id(&placed)).await, placed);
}
