//! The service as a whole on free ports, without Kafka.

use std::time::Duration;

use payments::{
    config::{Config, KafkaOptions},
    service::Service,
    worker::WorkerOptions,
};
use proto::store::payments::v1::{
    GetPaymentRequest, ProcessPaymentRequest, get_payment_request::Id, payment::State,
    payment_service_client::PaymentServiceClient,
};
use runtime::{Shutdown, Tasks, grpc::GrpcOptions, postgres::PostgresOptions};
use tonic::{Code, transport::Channel};
use tonic_types::StatusExt as _;

use crate::scene::{Order, Scene, eventually, provider_options};

fn config(scene: &Scene) -> Config {
    Config {
        postgres: PostgresOptions::new(scene.database_url.clone()),
        // Nobody listens there.
        kafka: KafkaOptions { kafka_brokers: String::from("127.0.0.1:1") },
        grpc_listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: ([127, 0, 0, 1], 0).into(),
        addresses_file: None,
        consumer_settings: Vec::new(),
        fail_points: Vec::new(),
        grpc: GrpcOptions::default(),
        worker: WorkerOptions {
            provider_concurrency: 4,
            provider_timeout_ms: 5_000,
            provider_rescan_ms: 50,
        },
        provider: provider_options(),
    }
}

async fn with_service(scene: &Scene, scenario: impl AsyncFnOnce(Channel)) {
    let service = Service::build(config(scene)).await.unwrap();
    let address = service.addresses().grpc.unwrap();
    let tasks = Tasks::new();
    let shutdown: Shutdown = tasks.shutdown();
    let play = async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
        scenario(endpoint.unwrap().connect().await.unwrap()).await;
        shutdown.request();
    };
    let run = tokio::time::timeout(Duration::from_secs(60), service.run(tasks));
    let (ended, ()) = tokio::join!(run, play);
    ended.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_and_settles_while_kafka_is_down_and_stops_when_told() {
    let scene = Scene::new().await;
    with_service(&scene, async |channel| {
        let mut client = PaymentServiceClient::new(channel);
        let order = Order::new();
        scene.deliver(&order.stock_decreased()).await.unwrap();
        let payment_id = scene.payment(order.order_id).await.payment_id.to_string();
        eventually("pending", async || {
            let id = Some(Id::PaymentId(payment_id.clone()));
            let answer = client.clone().get_payment(GetPaymentRequest { id }).await.unwrap();
            answer.into_inner().payment.unwrap().state() == State::Pending
        })
        .await;
        let request = ProcessPaymentRequest { payment_id, request_id: String::new() };
        let answer = client.process_payment(request).await.unwrap().into_inner();
        assert_eq!(answer.payment.unwrap().state(), State::Paid);
        eventually("captured", async || {
            scene.ledger(order.order_id).await == ["authorised", "captured"]
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_as_metadata_is_a_request_id() {
    let scene = Scene::new().await;
    with_service(&scene, async |channel| {
        let mut client = PaymentServiceClient::new(channel);
        let mut request = tonic::Request::new(ProcessPaymentRequest {
            payment_id: String::from("17"),
            request_id: String::new(),
        });
        request.metadata_mut().insert("idempotency-key", "x".parse().unwrap());
        let status = client.process_payment(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let fields: Vec<_> =
            details.bad_request().unwrap().field_violations.iter().map(|v| &v.field).collect();
        assert_eq!(fields, ["payment_id", "request_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_database_without_the_schema_is_told_with_the_cure() {
    let stack = lab::stack::Stack::shared().await.unwrap();
    let url = stack.create_database("payments_without_schema").await.unwrap();
    let scene = Scene::new().await;
    let config = Config { postgres: PostgresOptions::new(url), ..config(&scene) };
    let error = Service::build(config).await.err().unwrap();
    assert!(error.to_string().contains("payments migrate"), "{error}");
}
