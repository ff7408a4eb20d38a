//! Listens to the event topics without taking part: no group, nothing committed.

use std::{
    thread,
    time::{Duration, Instant},
};

use proto::{Event, store};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers, OwnedMessage},
    metadata::{MetadataPartition, MetadataTopic},
    types::RDKafkaErrorCode,
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// The store's topics, in the order of the road.
pub const TOPICS: [&str; 5] = [
    <store::orders::events::v1::OrderEvent as Event>::TOPIC,
    <store::stock::events::v1::StockEvent as Event>::TOPIC,
    <store::payments::events::v1::PaymentEvent as Event>::TOPIC,
    <store::products::events::v1::ProductEvent as Event>::TOPIC,
    <store::users::events::v1::UserEvent as Event>::TOPIC,
];

/// From where a tap listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// From the first record there is.
    Beginning,
    /// From now on.
    Now,
}

/// A record as it stands on its topic.
#[derive(Clone, Debug)]
pub struct Tapped(OwnedMessage);

impl Tapped {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Its key, or the empty text.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.key().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default()
    }

    /// A header as text, or the empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let headers = self.0.headers().into_iter().flat_map(Headers::iter);
        headers
            .filter(|header| header.key == name)
            .find_map(|header| std::str::from_utf8(header.value?).ok())
            .unwrap_or_default()
    }

    /// The event's name without its package, such as `OrderCreated`.
    #[must_use]
    pub fn event_name(&self) -> &str {
        self.header("ce_type").rsplit('.').next().unwrap_or_default()
    }

    /// The bytes of the event.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.0.payload().unwrap_or_default()
    }
}

/// A listener.
pub struct Tap(StreamConsumer);

impl Tap {
    /// Listens to all partitions of `topics`, which must exist.
    ///
    /// # Errors
    /// If the broker does not answer, or a topic is not there.
    pub async fn open(brokers: &str, topics: &[&str], from: From) -> KafkaResult<Self> {
        let brokers = brokers.to_owned();
        let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || Self::open_blocking(&brokers, &topics, from))
            .await
            .map_err(|_| KafkaError::Canceled)?
    }

    /// The next record of any of the topics.
    ///
    /// # Errors
    /// If the broker cannot be read from.
    pub async fn next(&self) -> KafkaResult<Tapped> {
        self.0.recv().await.map(|message: BorrowedMessage<'_>| Tapped(message.detach()))
    }

    fn open_blocking(brokers: &str, topics: &[String], from: From) -> KafkaResult<Self> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("lab-{}", Uuid::now_v7()))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            for partition in partitions(&consumer, topic)? {
                let offset = match from {
                    From::Beginning => Offset::Beginning,
                    From::Now => Offset::Offset(end(&consumer, topic, partition)?),
                };
                assignment.add_partition_offset(topic, partition, offset)?;
            }
        }
        consumer.assign(&assignment)?;
        Ok(Self(consumer))
    }
}

/// The partitions of a topic. A broker may need a moment to know one that has just been created, and tells none of it until then.
fn partitions(consumer: &StreamConsumer, topic: &str) -> KafkaResult<Vec<i32>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        let ids: Vec<i32> = partitions.map(MetadataPartition::id).collect();
        if !ids.is_empty() {
            return Ok(ids);
        }
        if Instant::now() >= deadline {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        thread::sleep(PAUSE);
    }
}

/// Where a partition ends now. The leader of one that has just been created may need a moment to know that it leads.
fn end(consumer: &StreamConsumer, topic: &str, partition: i32) -> KafkaResult<i64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, partition, PATIENCE) {
            Ok((_, end)) => return Ok(end),
            Err(error) if elects(&error) && Instant::now() < deadline => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
}

fn elects(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}
