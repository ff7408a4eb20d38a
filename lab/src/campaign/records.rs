//! What stands on a round's topics, as a `read_committed` consumer sees it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    metadata::MetadataTopic,
};
use tokio::time::{sleep, timeout_at};
use uuid::Uuid;

use super::RoundError;
use crate::{
    invariants::Event,
    tap::{From, Tap},
};

const PATIENCE: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_millis(100);

/// Hears which events come, from the beginning.
pub(super) struct Listener {
    tap: Tap,
    heard: HashSet<Uuid>,
}

impl Listener {
    /// Listens to `topics`.
    pub(super) async fn open(brokers: &str, topics: &[&str]) -> Result<Self, RoundError> {
        let tap = Tap::open(brokers, topics, From::Beginning).await?;
        Ok(Self { tap, heard: HashSet::new() })
    }

    /// Waits until all of `events` have come, as long as one more comes within `patience`; answers how many have not.
    pub(super) async fn hear(&mut self, events: &[Uuid], patience: Duration) -> usize {
        let mut missing: HashSet<Uuid> =
            events.iter().filter(|event| !self.heard.contains(*event)).copied().collect();
        let mut deadline = tokio::time::Instant::now() + patience;
        while !missing.is_empty() {
            match timeout_at(deadline, self.tap.next()).await {
                Ok(Ok(record)) => {
                    let Ok(event) = record.header("ce_id").parse() else { continue };
                    self.heard.insert(event);
                    if missing.remove(&event) {
                        deadline = tokio::time::Instant::now() + patience;
                    }
                }
                // The broker may be down; the consumer finds it again.
                Ok(Err(_)) => sleep(QUIET).await,
                Err(_) => break,
            }
        }
        missing.len()
    }
}

/// Waits until the broker knows the topics: it answers their creation before it does.
pub(super) async fn until_topics_are_there(
    brokers: &str,
    topics: Vec<String>,
) -> Result<(), RoundError> {
    let brokers = brokers.to_owned();
    let waited = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", brokers).create()?;
        for topic in topics {
            while !is_there(&consumer, &topic)? {
                if began.elapsed() > PATIENCE {
                    return Err(RoundError::Silent(topic));
                }
                std::thread::sleep(QUIET);
            }
        }
        Ok(())
    });
    waited.await.map_err(|_| KafkaError::Canceled)?
}

fn is_there(consumer: &BaseConsumer, topic: &str) -> Result<bool, RoundError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions).peekable();
    Ok(partitions.peek().is_some() && partitions.all(|partition| partition.leader() >= 0))
}

/// Everything that stands on `topics` when nothing more comes, with its bytes.
pub(crate) async fn read(
    brokers: &str,
    topics: Vec<String>,
) -> Result<Vec<(Event, Vec<u8>)>, RoundError> {
    let brokers = brokers.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut records = Vec::new();
        for topic in &topics {
            read_topic(&brokers, topic, &mut records)?;
        }
        Ok(records)
    });
    read.await.map_err(|_| KafkaError::Canceled)?
}

/// Reads each partition up to its end.
fn read_topic(
    brokers: &str,
    topic: &str,
    records: &mut Vec<(Event, Vec<u8>)>,
) -> Result<(), RoundError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "campaign")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "20")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let mut assignment = TopicPartitionList::new();
    let mut open = HashSet::new();
    for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        open.insert(partition.id());
    }
    consumer.assign(&assignment)?;
    let mut heard_at = Instant::now();
    while !open.is_empty() {
        match consumer.poll(QUIET) {
            Some(Ok(message)) => records.push(published(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(error.into()),
            None if heard_at.elapsed() > PATIENCE => {
                return Err(RoundError::Silent(topic.to_owned()));
            }
            None => continue,
        }
        heard_at = Instant::now();
    }
    Ok(())
}

fn published(message: &BorrowedMessage<'_>) -> (Event, Vec<u8>) {
    let id = message.headers().and_then(|headers| {
        let header = headers.iter().find(|header| header.key == "ce_id")?;
        Uuid::parse_str(std::str::from_utf8(header.value?).ok()?).ok()
    });
    let event = Event {
        id: id.unwrap_or_default(),
        topic: message.topic().to_owned(),
        key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
        partition: Some(message.partition()),
    };
    (event, message.payload().unwrap_or_default().to_vec())
}
