//! Topics are created as declared, once.

use lab::stack::Stack;
use messaging::topics::{self, Topic};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_as_declared_and_then_left_alone() {
    let kafka = Stack::shared().await.unwrap().kafka().await.unwrap();
    let name = format!("test.{}", Uuid::now_v7());
    let declared = Topic { name: name.clone().into(), ..topics::ORDERS };
    let mut letters = topics::dead_letters("group", &[&name]);
    letters.push(declared.clone());
    topics::create(kafka.brokers(), &letters).await.unwrap();
    let other = Topic { partitions: 3, retention: None, ..declared };
    topics::create(kafka.brokers(), &[other]).await.unwrap();

    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create().unwrap();
    let described = admin
        .describe_configs(&[ResourceSpecifier::Topic(&name)], &AdminOptions::new())
        .await
        .unwrap();
    let settings = described[0].as_ref().unwrap().entry_map();
    assert_eq!(settings["retention.ms"].value.as_deref(), Some("604800000"));
    assert_eq!(settings["cleanup.policy"].value.as_deref(), Some("delete"));
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create().unwrap();
    let partitions = |name: String| {
        let metadata = client.fetch_metadata(Some(&name), Duration::from_secs(10)).unwrap();
        metadata.topics()[0].partitions().len()
    };
    assert_eq!(partitions(name.clone()), 12);
    assert_eq!(partitions(topics::dead_letter_topic("group", &name)), 1);
}

#[test]
fn a_topic_is_named_after_its_events_package() {
    let names: Vec<_> = topics::ALL.iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(
        names,
        [
            "store.orders.events.v1",
            "store.stock.events.v1",
            "store.payments.events.v1",
            "store.products.events.v1",
            "store.users.events.v1",
        ]
    );
}
