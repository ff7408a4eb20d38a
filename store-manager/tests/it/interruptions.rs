//! Killed between any two steps, and run again: the outcome is that of one run.

use proto::{
    Currency, Money, ProductId,
    store::{
        catalog::v1::{
            CreateProductRequest, DeleteProductRequest, product_service_server::ProductService,
        },
        orders::v1::{
            CancelOrderRequest, CreateOrderRequest, order::State,
            order_service_server::OrderService,
        },
        stock::v1::{AdjustStockRequest, SetStockRequest, stock_service_server::StockService},
        users::v1::{
            CreateUserRequest, DeleteUserRequest, user::Type, user_service_server::UserService,
        },
    },
};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::{
    saga::cancel,
    scene::{
        GADGET, LAPTOP, Scene, id, killed_after, order_request, payment_cancelled, payment_created,
        payment_creation_failed, payment_processed,
    },
};

/// More polls than any of these needs.
const MANY: usize = 1_000;

#[tokio::test]
async fn an_order_placed_again_after_a_kill_is_one_order() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let request_id = Uuid::now_v7().to_string();
        let request = CreateOrderRequest { request_id, ..order_request(&[(LAPTOP, 1)]) };
        let before = orders(&scene).await;
        let place = scene.orders.create_order(Request::new(request.clone()));
        let ended = killed_after(polls, place).await.is_some();
        let answer = scene.orders.create_order(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(orders(&scene).await, before + 1, "killed after {polls} polls");
        let names = scene.announced_names(&answer.order.unwrap().order_id).await;
        assert_eq!(names, ["OrderCreated"]);
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

async fn orders(scene: &Scene) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM store_manager.orders")
        .fetch_one(&scene.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_refused_again_after_a_kill_is_announced_once() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let request_id = Uuid::now_v7().to_string();
        let request = CreateOrderRequest { request_id, ..order_request(&[(ProductId::new(), 1)]) };
        let before = refusals(&scene).await;
        let place = scene.orders.create_order(Request::new(request.clone()));
        let ended = killed_after(polls, place).await.is_some();
        let status = scene.orders.create_order(Request::new(request)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(refusals(&scene).await, before + 2, "killed after {polls} polls");
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

async fn refusals(scene: &Scene) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM messaging.outbox
         WHERE type LIKE '%OrderCreationFailed' OR type LIKE '%SagaCompleted'",
    )
    .fetch_one(&scene.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_cancel_asked_again_after_a_kill_is_one_cancel() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let order_id = scene.placed().await;
        let request =
            CancelOrderRequest { order_id: order_id.to_string(), request_id: String::new() };
        let cancel = scene.orders.cancel_order(Request::new(request.clone()));
        let ended = killed_after(polls, cancel).await.is_some();
        scene.orders.cancel_order(Request::new(request)).await.unwrap();
        let names = scene.announced_names(order_id).await;
        assert_eq!(names, ["OrderCreated", "OrderCancelled"], "killed after {polls} polls");
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn stock_adjusted_again_after_a_kill_is_adjusted_once() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let before = scene.on_hand(GADGET).await;
        let request = AdjustStockRequest {
            product_id: GADGET.to_string(),
            quantity_delta: 1,
            request_id: Uuid::now_v7().to_string(),
        };
        let adjust = scene.stock.adjust_stock(Request::new(request.clone()));
        let ended = killed_after(polls, adjust).await.is_some();
        scene.stock.adjust_stock(Request::new(request)).await.unwrap();
        assert_eq!(scene.on_hand(GADGET).await, before + 1, "killed after {polls} polls");
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn stock_taken_again_after_a_kill_is_taken_once() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let order_id = scene.placed().await;
        let before = scene.on_hand(LAPTOP).await;
        let created = scene.announced(order_id).await.remove(0).record();
        let ended = killed_after(polls, scene.deliver(&created)).await.is_some();
        scene.deliver(&created).await.unwrap();
        assert_eq!(scene.on_hand(LAPTOP).await, before - 1, "killed after {polls} polls");
        assert_eq!(scene.announced_names(order_id).await, ["OrderCreated", "StockDecreased"]);
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn what_payments_says_again_after_a_kill_is_done_once() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let (happy, refused) = (scene.placed().await, scene.placed().await);
        scene.settle().await;
        let before = scene.on_hand(LAPTOP).await;
        let (created, failed) = (payment_created(happy), payment_creation_failed(refused));
        let first = killed_after(polls, scene.deliver(&created)).await.is_some();
        let second = killed_after(polls, scene.deliver(&failed)).await.is_some();
        scene.deliver(&created).await.unwrap();
        scene.deliver(&failed).await.unwrap();
        assert_eq!(scene.on_hand(LAPTOP).await, before + 1, "killed after {polls} polls");
        scene.settle().await;
        assert_eq!(scene.state(happy).await, State::Completed);
        assert_eq!(scene.state(refused).await, State::Cancelled);
        for order_id in [happy, refused] {
            let names = scene.announced_names(order_id).await;
            assert_eq!(names.iter().filter(|name| *name == "SagaCompleted").count(), 1);
        }
        if first && second {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn every_event_handled_again_after_a_kill_is_handled_once() {
    let scene = Scene::new().await;
    for polls in 1..MANY {
        let before = scene.on_hand(LAPTOP).await;
        let short = id(&scene.order(&[(GADGET, 3)]).await.unwrap());
        let (paid, given_up) = (scene.placed().await, scene.placed().await);
        let mut ended = scene.settle_killed(polls).await;
        for record in [payment_created(paid), payment_processed(paid), payment_created(given_up)] {
            ended &= scene.deliver_killed(polls, &record).await;
        }
        cancel(&scene, given_up).await.unwrap();
        ended &= scene.deliver_killed(polls, &payment_cancelled(given_up)).await;
        ended &= scene.settle_killed(polls).await;

        let announced = scene.announced_names(short).await;
        assert_eq!(
            announced,
            ["OrderCreated", "StockDecreaseFailed", "OrderCancelled", "SagaCompleted"]
        );
        let announced = scene.announced_names(paid).await;
        assert_eq!(announced, ["OrderCreated", "StockDecreased", "SagaCompleted"]);
        assert!(scene.get(paid).await.is_paid, "killed after {polls} polls");
        let announced = scene.announced_names(given_up).await;
        assert_eq!(
            announced,
            [
                "OrderCreated",
                "StockDecreased",
                "SagaCompleted",
                "OrderCancellationRequested",
                "StockIncreased",
                "OrderCancelled"
            ]
        );
        assert_eq!(scene.on_hand(LAPTOP).await, before - 1, "killed after {polls} polls");
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn what_is_set_created_or_deleted_again_after_a_kill_is_announced_once() {
    let scene = Scene::new().await;
    let request_id = || Uuid::now_v7().to_string();
    for polls in 1..MANY {
        let set = SetStockRequest {
            product_id: LAPTOP.to_string(),
            quantity: scene.on_hand(LAPTOP).await + 1,
            request_id: request_id(),
        };
        let (mut ended, _) =
            twice(&scene, polls, || scene.stock.set_stock(Request::new(set.clone()))).await;
        let create = CreateProductRequest {
            name: "Mouse".to_owned(),
            sku: format!("MO{polls}"),
            price: Some(Money::new(1_999, Currency::CAD).into()),
            request_id: request_id(),
        };
        let call = || scene.products.create_product(Request::new(create.clone()));
        let (this_ended, created) = twice(&scene, polls, call).await;
        ended &= this_ended;
        let product_id = created.product.unwrap().product_id;
        let delete = DeleteProductRequest { product_id, request_id: request_id() };
        let call = || scene.products.delete_product(Request::new(delete.clone()));
        ended &= twice(&scene, polls, call).await.0;
        let create = CreateUserRequest {
            name: "Grace Hopper".to_owned(),
            email: format!("ghopper{polls}@example.com"),
            r#type: Type::Client.into(),
            request_id: request_id(),
        };
        let call = || scene.users.create_user(Request::new(create.clone()));
        let (this_ended, created) = twice(&scene, polls, call).await;
        ended &= this_ended;
        let user_id = created.user.unwrap().user_id;
        let delete = DeleteUserRequest { user_id, request_id: request_id() };
        ended &=
            twice(&scene, polls, || scene.users.delete_user(Request::new(delete.clone()))).await.0;
        if ended {
            return;
        }
    }
    panic!("it never ended");
}

/// Calls, killed after `polls`, and then again; one event must have been announced. Answers whether the first call ended
/// before, and the second one's answer.
async fn twice<A, F: Future<Output = Result<Response<A>, Status>>>(
    scene: &Scene,
    polls: usize,
    call: impl Fn() -> F,
) -> (bool, A) {
    let before = announcements(scene).await;
    let ended = killed_after(polls, call()).await.is_some();
    let answer = call().await.unwrap().into_inner();
    assert_eq!(announcements(scene).await, before + 1, "killed after {polls} polls");
    (ended, answer)
}

async fn announcements(scene: &Scene) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM messaging.outbox")
        .fetch_one(&scene.pool)
        .await
        .unwrap()
}
