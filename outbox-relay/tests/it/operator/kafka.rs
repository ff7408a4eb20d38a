//! What a test does to Kafka by hand: records of its own, and topics that go.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::topic::Received;
use crate::world::PATIENCE;

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("partitioner", "murmur2_random");
    client
}

/// Sends a record and waits until it stands there.
pub(crate) async fn send(
    brokers: &str,
    topic: &str,
    key: &str,
    headers: &[(&str, &str)],
    payload: &[u8],
) {
    let producer: FutureProducer = client(brokers).set("linger.ms", "0").create().unwrap();
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    });
    let record = FutureRecord::to(topic).key(key).payload(payload).headers(headers);
    producer.send(record, PATIENCE).await.unwrap();
}

/// Sends a received record once more.
pub(crate) async fn send_again(brokers: &str, topic: &str, record: &Received) {
    let headers: Vec<(&str, &str)> =
        record.headers.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    send(brokers, topic, &record.key, &headers, &record.payload).await;
}

/// Sends a record with its own timestamp.
pub(crate) async fn send_at(brokers: &str, topic: &str, record: &Received) {
    let producer: FutureProducer = client(brokers).set("linger.ms", "0").create().unwrap();
    let headers = headers(record);
    let record = FutureRecord::to(topic)
        .key(&record.key)
        .payload(&record.payload)
        .timestamp(record.timestamp_ms)
        .headers(headers);
    producer.send(record, PATIENCE).await.unwrap();
}

/// Sends a record in a transaction, and aborts that once it stands there.
pub(crate) async fn send_and_abort(brokers: &str, topic: &str, record: &Received) {
    let (brokers, topic, record) = (brokers.to_owned(), topic.to_owned(), record.clone());
    let aborting = move || {
        let producer: BaseProducer =
            client(&brokers).set("transactional.id", format!("test.{topic}")).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        let headers = headers(&record);
        let base = BaseRecord::to(&topic).key(&record.key).payload(&record.payload);
        producer.send(base.headers(headers)).unwrap();
        producer.flush(PATIENCE).unwrap();
        producer.abort_transaction(PATIENCE).unwrap();
    };
    tokio::task::spawn_blocking(aborting).await.unwrap();
}

fn headers(record: &Received) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// How many records stand on a topic's first partition, those of open transactions included.
pub(crate) fn standing(brokers: &str, topic: &str) -> i64 {
    let consumer: BaseConsumer = client(brokers).create().unwrap();
    let (first, end) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
    end - first
}

/// Deletes every record that stands there now.
pub(crate) async fn delete_records(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    let mut ends = TopicPartitionList::new();
    for partition in 0..partitions {
        ends.add_partition_offset(topic, partition, Offset::End).unwrap();
    }
    admin.delete_records(&ends, &AdminOptions::new()).await.unwrap();
}

/// Deletes a topic and waits until nobody knows it.
pub(crate) async fn delete(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let began = Instant::now();
    while exists(&admin, topic) {
        assert!(began.elapsed() < PATIENCE, "{topic} is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn exists(admin: &AdminClient<DefaultClientContext>, topic: &str) -> bool {
    let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE).unwrap();
    metadata.topics().iter().any(|found| found.error().is_none())
}

/// Deletes a topic and creates it anew, empty.
pub(crate) async fn empty(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    let options = AdminOptions::new();
    admin.delete_topics(&[topic], &options).await.unwrap()[0].as_ref().unwrap();
    let began = Instant::now();
    loop {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        match &admin.create_topics(&[new], &options).await.unwrap()[0] {
            Ok(_) => return,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
