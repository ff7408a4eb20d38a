//! Many at once.

use std::sync::Arc;

use futures::future::join_all;
use proto::store::orders::v1::{
    CreateOrderRequest, order::State, order_service_server::OrderService,
};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::{
    commands::{delete, reason},
    scene::{LAPTOP, Scene, id, order_request, payment_created},
};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_with_one_request_id_are_one_order_and_one_answer() {
    let scene = Scene::new().await;
    let request = CreateOrderRequest {
        request_id: Uuid::now_v7().to_string(),
        ..order_request(&[(LAPTOP, 1)])
    };
    let answers =
        join_all((0..50).map(|_| scene.orders.create_order(Request::new(request.clone())))).await;
    let first = answers[0].as_ref().unwrap().get_ref().clone();
    for answer in answers {
        assert_eq!(answer.unwrap().into_inner(), first);
    }
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM store_manager.orders")
        .fetch_one(&scene.pool)
        .await
        .unwrap();
    assert_eq!(orders, 1);
    assert_eq!(scene.announced_names(&first.order.unwrap().order_id).await, ["OrderCreated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_buyers_of_twenty_just_twenty_get_one() {
    let scene = Arc::new(Scene::new().await);
    let product_id = scene.product(100, 20).await;
    let lines = [(product_id, 1)];
    let orders = join_all((0..50).map(|_| scene.order(&lines))).await;
    let order_ids: Vec<_> = orders.into_iter().map(|order| id(&order.unwrap())).collect();
    // Ten at once, as several replicas would.
    for some in order_ids.chunks(10) {
        join_all(some.iter().map(|order_id| {
            let scene = Arc::clone(&scene);
            async move {
                let created = scene.announced(order_id).await.remove(0);
                scene.deliver(&created.record()).await.unwrap();
            }
        }))
        .await;
    }
    scene.settle().await;
    let mut completed = 0;
    for order_id in order_ids {
        if scene.state(order_id).await == State::CreatingPayment {
            scene.deliver(&payment_created(order_id)).await.unwrap();
            completed += 1;
        } else {
            assert_eq!(scene.state(order_id).await, State::Cancelled);
        }
    }
    assert_eq!((completed, scene.on_hand(product_id).await), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_deleted_while_orders_are_placed_is_in_no_order_that_is_open() {
    let scene = Scene::new().await;
    for _ in 0..20 {
        let product_id = scene.product(100, 10).await;
        let lines = [(LAPTOP, 1), (product_id, 1)];
        let (deleted, orders) =
            tokio::join!(delete(&scene, product_id), join_all((0..4).map(|_| scene.order(&lines))));
        let placed = orders.iter().filter(|order| order.is_ok()).count();
        match deleted {
            Ok(()) => assert_eq!(placed, 0),
            Err(status) => {
                assert_eq!(reason(&status), "PRODUCT_IN_USE");
                assert_eq!(placed, 4);
            }
        }
        for status in orders.into_iter().filter_map(Result::err) {
            assert_eq!(status.code(), Code::NotFound);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_the_same_products_in_any_order_do_not_get_in_each_others_way() {
    let scene = Arc::new(Scene::new().await);
    let (first, second) = (scene.product(100, 100).await, scene.product(100, 100).await);
    let lines = [[(first, 1), (second, 1)], [(second, 1), (first, 1)]];
    let orders = join_all((0..20).map(|number| scene.order(&lines[number % 2]))).await;
    let order_ids: Vec<_> = orders.into_iter().map(|order| id(&order.unwrap())).collect();
    join_all(order_ids.iter().map(|order_id| {
        let scene = Arc::clone(&scene);
        async move {
            let created = scene.announced(order_id).await.remove(0);
            scene.deliver(&created.record()).await.unwrap();
        }
    }))
    .await;
    assert_eq!((scene.on_hand(first).await, scene.on_hand(second).await), (80, 80));
}
