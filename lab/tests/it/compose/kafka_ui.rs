//! The configuration of Kafka-UI: it decodes what stands in each topic, and knows each topic that there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use lab::{
    processes::{self, Program, ServiceOptions},
    stack::Stack,
};
use proto::{
    Event,
    store::{
        orders::events::v1::OrderEvent, payments::events::v1::PaymentEvent,
        products::events::v1::ProductEvent, stock::events::v1::StockEvent,
        users::events::v1::UserEvent,
    },
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use serde::Deserialize;
use tokio::time::sleep;

use super::files::{Compose, parse};

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// Not the store's events, so not decoded.
const PROGRESS_TOPIC: &str = "outbox-relay.progress";

/// The keys are Kafka-UI's own (`ClustersProperties` and `ProtobufFileSerde` in its source); others are mistakes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kafka: Clusters,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clusters {
    clusters: [Cluster; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Cluster {
    #[serde(rename = "name")]
    _name: String,
    bootstrap_servers: String,
    default_key_serde: String,
    serde: [Serde; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Serde {
    name: String,
    properties: ProtobufFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProtobufFile {
    protobuf_files_dir: String,
    protobuf_message_name_by_topic: BTreeMap<String, String>,
}

fn cluster() -> Cluster {
    let Config { kafka: Clusters { clusters: [cluster] } } = parse("deploy/kafka-ui/config.yml");
    cluster
}

#[test]
fn kafka_ui_finds_kafka_and_the_contract_where_they_are() {
    let compose = Compose::read();
    let (cluster, container) = (cluster(), &compose.services["kafka-ui"]);
    let [serde] = &cluster.serde;
    assert_eq!(
        (cluster.default_key_serde.as_str(), serde.name.as_str()),
        ("String", "ProtobufFile")
    );
    assert_eq!(
        cluster.bootstrap_servers,
        compose.services["store-manager"].environment["KAFKA_BROKERS"]
    );
    let contract = format!("./proto:{}:ro", serde.properties.protobuf_files_dir);
    let location = &container.environment["SPRING_CONFIG_ADDITIONAL_LOCATION"];
    let config =
        format!("./deploy/kafka-ui/config.yml:{}:ro", location.strip_prefix("file:").unwrap());
    assert_eq!(container.volumes, [config, contract]);
}

#[test]
fn kafka_ui_decodes_the_message_of_each_topic_of_events_and_of_its_dead_letters() {
    let messages = BTreeMap::from([
        message::<OrderEvent>(),
        message::<PaymentEvent>(),
        message::<ProductEvent>(),
        message::<StockEvent>(),
        message::<UserEvent>(),
    ]);
    let [serde] = cluster().serde;
    let configured = serde.properties.protobuf_message_name_by_topic;
    for (topic, message) in &messages {
        assert_eq!(configured.get(*topic), Some(message), "{topic}");
    }
    for (topic, message) in &configured {
        assert_eq!(Some(message), messages.get(source_of(topic)), "{topic}");
    }
}

#[tokio::test]
async fn kafka_ui_knows_all_the_topics_that_the_programs_create_and_no_others() {
    let stack = Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let binaries = processes::build().await.unwrap();
    for program in Program::ALL {
        let options = ServiceOptions {
            program,
            binaries: binaries.to_owned(),
            logs: stack.directory().to_owned(),
            environment: vec![("KAFKA_BROKERS".to_owned(), kafka.brokers().to_owned())],
        };
        options.step("topics").await.unwrap();
    }
    let [serde] = cluster().serde;
    let mut known: BTreeSet<String> =
        serde.properties.protobuf_message_name_by_topic.into_keys().collect();
    known.insert(PROGRESS_TOPIC.to_owned());
    let client = ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create().unwrap();
    let deadline = Instant::now() + PATIENCE;
    // A broker hears of a topic a moment after the controller has answered that it is created.
    while topics(&client) != known && Instant::now() < deadline {
        sleep(PAUSE).await;
    }
    assert_eq!(topics(&client), known);
}

fn message<E: Event>() -> (&'static str, String) {
    (E::TOPIC, E::full_name())
}

/// The topic of events itself, or the one that a topic of dead letters (`<group>.<topic>.dlq`) takes from.
fn source_of(topic: &str) -> &str {
    let letters = topic.strip_suffix(".dlq").and_then(|topic| topic.split_once('.'));
    letters.map_or(topic, |(_, source)| source)
}

fn topics(client: &BaseConsumer) -> BTreeSet<String> {
    let metadata = client.fetch_metadata(None, PATIENCE).unwrap();
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    names.filter(|name| !name.starts_with("__")).collect()
}
