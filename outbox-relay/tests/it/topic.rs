//! Kafka as a consumer sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::world::PATIENCE;

/// How long nothing more may come until all is said to have come.
const QUIET: Duration = Duration::from_millis(700);

/// A record as it stands on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) timestamp_ms: i64,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Creates a topic.
pub(crate) async fn create(brokers: &str, topic: &str, partitions: i32) {
    create_with(brokers, NewTopic::new(topic, partitions, TopicReplication::Fixed(1))).await;
}

pub(crate) async fn create_with(brokers: &str, topic: NewTopic<'_>) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let created = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

/// A consumer of what comes from now on.
pub(crate) struct Tail {
    consumer: BaseConsumer,
}

impl Tail {
    pub(crate) fn open(brokers: &str, topic: &str, partitions: i32) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "test")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        Self { consumer }
    }

    /// Waits for one more record, and returns the moment it is there.
    pub(crate) async fn next(self) -> Self {
        let next = tokio::task::spawn_blocking(move || {
            self.consumer.poll(PATIENCE).expect("a record comes").unwrap();
            self
        });
        next.await.unwrap()
    }
}

/// Removes a topic, and waits until the broker says that it is gone.
pub(crate) async fn remove(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let removed = admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    let began = Instant::now();
    let is_there = || {
        let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE).unwrap();
        !metadata.topics()[0].partitions().is_empty()
    };
    while is_there() {
        assert!(began.elapsed() < PATIENCE, "{topic} is still there");
    }
}

/// Sets one of the topic's settings.
pub(crate) async fn configure(brokers: &str, topic: &str, name: &str, value: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let config = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let altered = admin.alter_configs(&[config], &AdminOptions::new()).await.unwrap();
    assert!(altered.iter().all(Result::is_ok), "{altered:?}");
}

/// All records of the topic, once `count` have come and nothing more does for a while. Records of one key come in their order.
pub(crate) async fn receive(brokers: &str, topic: &str, count: usize) -> Vec<Received> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || receive_blocking(&brokers, &topic, count)).await.unwrap()
}

fn receive_blocking(brokers: &str, topic: &str, count: usize) -> Vec<Received> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    assign_all(&consumer, topic);
    let (mut received, began, mut heard_at) = (Vec::new(), Instant::now(), Instant::now());
    loop {
        match consumer.poll(Duration::from_millis(50)) {
            Some(message) => {
                received.push(record(&message.unwrap()));
                heard_at = Instant::now();
            }
            None if received.len() >= count && heard_at.elapsed() > QUIET => return received,
            None if began.elapsed() > PATIENCE => {
                panic!("{} of {count} records have come to {topic}", received.len())
            }
            None => {}
        }
    }
}

/// Every record that stands on the topic, in the order of each partition: whoever writes has stopped.
pub(crate) async fn everything(brokers: &str, topic: &str) -> Vec<Received> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || everything_blocking(&brokers, &topic)).await.unwrap()
}

fn everything_blocking(brokers: &str, topic: &str) -> Vec<Received> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut unread = assign_all(&consumer, topic);
    let (mut received, began) = (Vec::new(), Instant::now());
    while unread > 0 {
        assert!(began.elapsed() < PATIENCE, "{topic} has no end");
        match consumer.poll(Duration::from_millis(50)) {
            Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
            Some(message) => received.push(record(&message.unwrap())),
            None => {}
        }
    }
    received
}

/// Assigns every partition from its beginning, and answers how many there are.
fn assign_all(consumer: &BaseConsumer, topic: &str) -> usize {
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let partitions = metadata.topics()[0].partitions();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    partitions.len()
}

fn record(message: &impl Message) -> Received {
    let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
        headers
            .iter()
            .map(|header| {
                let value = String::from_utf8(header.value.unwrap_or_default().to_vec()).unwrap();
                (header.key.to_owned(), value)
            })
            .collect()
    });
    Received {
        partition: message.partition(),
        key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
        payload: message.payload().unwrap_or_default().to_vec(),
        timestamp_ms: message.timestamp().to_millis().unwrap(),
        headers,
    }
}
