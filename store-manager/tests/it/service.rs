//! The whole service over the network, while Kafka is down.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use proto::store::orders::v1::{
    GetOrderRequest, WatchOrderRequest, order::State, order_service_client::OrderServiceClient,
};
use runtime::{Tasks, config};
use store_manager::{
    config::{Command, CommandLine},
    service::Service,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;

use crate::scene::{LAPTOP, Scene, order_request};

const NOWHERE: &str = "127.0.0.1:1";

async fn service(database_url: &str) -> Service {
    let arguments = [
        "store-manager",
        "serve",
        "--database-url",
        database_url,
        "--kafka-brokers",
        NOWHERE,
        "--grpc-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--saga-sweep-seconds",
        "1",
    ];
    match CommandLine::try_parse_from(arguments).unwrap().command {
        Command::Serve(config) => Service::build(*config).await.unwrap(),
        command @ (Command::Migrate(_) | Command::Topics(_)) => panic!("{command:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_taken_while_kafka_is_down_and_a_stop_ends_watches_and_the_service() {
    let scene = Scene::new().await;
    let service = service(&scene.database_url).await;
    let (address, admin) = (service.addresses().grpc.unwrap(), service.addresses().admin.unwrap());
    let mut tasks = Tasks::new();
    let shutdown = tasks.shutdown();
    let mut all = Tasks::new();
    let stop = all.shutdown();
    all.spawn("service", async move {
        tasks.spawn("stop", async move {
            stop.requested().await;
            shutdown.request();
            Ok::<_, runtime::BoxError>(())
        });
        service.run(tasks).await
    });
    let mut client = OrderServiceClient::connect(format!("http://{address}")).await.unwrap();
    let placed = client.create_order(order_request(&[(LAPTOP, 1)])).await.unwrap().into_inner();
    let order_id = placed.order.unwrap().order_id;
    let request = GetOrderRequest { order_id: order_id.clone() };
    let order = client.get_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(order.state(), State::DecreasingStock);
    let mut states = client.watch_order(WatchOrderRequest { order_id }).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().state(), State::DecreasingStock);
    assert!(get(admin, "/readyz").await.starts_with("HTTP/1.1 200"));
    while !get(admin, "/metrics").await.contains("store_sagas_in_flight 1\n") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let metrics = get(admin, "/metrics").await;
    assert!(metrics.contains("store_sagas_started_total 1\n"), "{metrics}");
    assert!(metrics.contains("store_orders_needing_attention 0\n"), "{metrics}");
    all.shutdown().request();
    let ended = tokio::time::timeout(Duration::from_secs(5), states.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
    tokio::time::timeout(Duration::from_secs(15), all.run(Duration::from_secs(12)))
        .await
        .unwrap()
        .unwrap();
}

async fn get(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn wrong_settings_are_all_told_at_once() {
    let arguments = ["store-manager", "serve", "--grpc-listen", "x", "--store-currency", "dollars"];
    let arguments = arguments.into_iter().map(Into::into).collect();
    let text = config::try_parse::<CommandLine>(arguments).unwrap_err().to_string();
    for variable in ["GRPC_LISTEN", "STORE_CURRENCY"] {
        assert!(text.contains(variable), "{variable} is missing in: {text}");
    }
}
