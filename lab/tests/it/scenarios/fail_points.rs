//! store-manager dies at a fail point of the road, by itself, and starts again: what was under way there happens once.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use lab::{
    processes::Program,
    system::SystemOptions,
    tap::{From, TOPICS, Tap},
};
use nix::sys::signal::Signal;
use proto::{
    Currency, Money,
    store::{
        catalog::v1::{
            CreateProductRequest, DeleteProductRequest,
            product_service_client::ProductServiceClient,
        },
        orders::v1::order::State,
        users::v1::{
            CreateUserRequest, DeleteUserRequest, user::Type,
            user_service_client::UserServiceClient,
        },
    },
};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use runtime::fail_points::road::{self, Commit};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Response, Status};
use uuid::Uuid;

use super::shop::{PATIENCE, Shop, product};

/// Starts store-manager anew, to die at the point.
async fn arm(shop: &Shop, point: &str) {
    let store_manager = &shop.system.store_manager;
    store_manager.kill().await;
    store_manager.start_failing(&format!("{point}=abort")).await.unwrap();
    store_manager.until_ready().await.unwrap();
}

/// Waits until store-manager has died at the point, and starts it again.
async fn revive(shop: &Shop, point: &str) {
    let store_manager = &shop.system.store_manager;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = store_manager.exit_status().await {
            break status;
        }
        assert!(Instant::now() < deadline, "nobody came by {point}");
        sleep(Duration::from_millis(30)).await;
    };
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{point}");
    store_manager.start().await.unwrap();
}

/// How many events of the type store-manager has announced.
async fn announced(shop: &Shop, event: &str) -> i64 {
    let mut database = PgConnection::connect(shop.system.store_manager_database()).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM messaging.outbox WHERE type LIKE '%.' || $1")
        .bind(event)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

/// A command's request is made twice, and the first time store-manager dies before or after its commit.
async fn command<A>(
    shop: &Shop,
    point: &str,
    event: &str,
    call: impl AsyncFn() -> Result<Response<A>, Status>,
) -> A {
    let before = announced(shop, event).await;
    arm(shop, point).await;
    call().await.err().unwrap();
    revive(shop, point).await;
    let is_committed = point.ends_with(".committed");
    assert_eq!(announced(shop, event).await, before + i64::from(is_committed), "{point}");
    let answer = call().await.unwrap().into_inner();
    assert_eq!(announced(shop, event).await, before + 1, "{point}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_and_a_user_come_and_go_once_whenever_store_manager_dies() {
    let shop = Shop::open().await;
    let channel = || shop.system.store_manager.channel();
    let places: [fn(Commit) -> &'static str; 2] =
        [|commit| commit.committing, |commit| commit.committed];
    for place in places {
        let request_id = Uuid::now_v7().to_string();
        let request = CreateProductRequest {
            name: "Mouse".to_owned(),
            sku: request_id.clone(),
            price: Some(Money::new(1_999, Currency::CAD).into()),
            request_id: request_id.clone(),
        };
        let created = command(&shop, place(road::CREATE_PRODUCT), "ProductCreated", async || {
            ProductServiceClient::new(channel()).create_product(request.clone()).await
        });
        let product_id = created.await.product.unwrap().product_id;
        let request = DeleteProductRequest { product_id, request_id: Uuid::now_v7().to_string() };
        command(&shop, place(road::DELETE_PRODUCT), "ProductDeleted", async || {
            ProductServiceClient::new(channel()).delete_product(request.clone()).await
        })
        .await;
        let request = CreateUserRequest {
            name: "Grace Hopper".to_owned(),
            email: format!("{request_id}@example.com"),
            r#type: Type::Client.into(),
            request_id,
        };
        let created = command(&shop, place(road::CREATE_USER), "UserCreated", async || {
            UserServiceClient::new(channel()).create_user(request.clone()).await
        });
        let user_id = created.await.user.unwrap().user_id;
        let request = DeleteUserRequest { user_id, request_id: Uuid::now_v7().to_string() };
        command(&shop, place(road::DELETE_USER), "UserDeleted", async || {
            UserServiceClient::new(channel()).delete_user(request.clone()).await
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_line_is_told_once_by_a_store_manager_that_dies_at_it() {
    let shop = Shop::open().await;
    arm(&shop, road::TAKE_STOCK_SHORT).await;
    let order = shop.place(&[(2, 1), (3, 3)]).await;
    revive(&shop, road::TAKE_STOCK_SHORT).await;
    shop.reaches(&order.order_id, State::Cancelled).await;
    assert_eq!((shop.stock(2).await, shop.stock(3).await), (500, 2));
    assert_eq!(announced(&shop, "StockDecreaseFailed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_needs_attention_once_by_a_store_manager_that_dies_as_it_cannot_give_back() {
    let stopped = vec![Program::Payments];
    let shop = Shop::open_with(SystemOptions { stopped, ..SystemOptions::default() }).await;
    let order = shop.place(&[(2, 1)]).await;
    shop.reaches(&order.order_id, State::CreatingPayment).await;
    remove(&shop, 2).await;
    arm(&shop, road::GIVE_STOCK_BACK_GONE).await;
    shop.cancel(&order.order_id).await.unwrap();
    shop.system.payments.start().await.unwrap();
    revive(&shop, road::GIVE_STOCK_BACK_GONE).await;
    shop.reaches(&order.order_id, State::NeedsAttention).await;
    for event in ["StockIncreaseFailed", "SagaCompleted"] {
        assert_eq!(announced(&shop, event).await, 1, "{event}");
    }
}

/// Removes the rows of a product, as no command does while it has an open order.
async fn remove(shop: &Shop, number: u8) {
    let mut database = PgConnection::connect(shop.system.store_manager_database()).await.unwrap();
    for statement in [
        "DELETE FROM store_manager.stock WHERE product_id = $1",
        "DELETE FROM store_manager.products WHERE product_id = $1",
    ] {
        let product_id: Uuid = product(number).parse().unwrap();
        sqlx::query(statement).bind(product_id).execute(&mut database).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_nobody_can_read_is_parked_once_by_a_store_manager_that_dies_before() {
    let shop = Shop::open().await;
    arm(&shop, road::CONSUMER_PARKING).await;
    let brokers = shop.system.kafka().brokers();
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let put = async |key: &str| {
        let garbage = FutureRecord::to(TOPICS[0]).partition(0).key(key).payload(&[0xff; 16]);
        producer.send(garbage, PATIENCE).await.unwrap();
    };
    put("met").await;
    revive(&shop, road::CONSUMER_PARKING).await;
    put("behind").await;
    let parked = format!("{}.{}.dlq", Program::StoreManager.name(), TOPICS[0]);
    let tap = Tap::open(brokers, &[&parked], From::Beginning).await.unwrap();
    for key in ["met", "behind"] {
        let letter = timeout(PATIENCE, tap.next()).await.unwrap().unwrap();
        assert_eq!(letter.key(), key);
    }
}
