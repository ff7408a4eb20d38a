//! Reads a source's progress record from the compacted topic.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use thiserror::Error;

use crate::core::progress::{DecodeError, Progress};
use crate::source::client::ClientLog;
use crate::source::producer::METADATA_TIMEOUT;

/// How long reading the whole topic may take without a record coming in.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the progress is not known.
#[derive(Debug, Error)]
pub(crate) enum ReadProgressError {
    /// Kafka does not answer, or refuses.
    #[error("the progress topic {topic} cannot be read")]
    Kafka {
        /// Its name.
        topic: String,
        /// What Kafka says.
        #[source]
        source: KafkaError,
    },
    /// Nobody has created it.
    #[error("there is no progress topic {0}: run `outbox-relay topics`")]
    NoTopic(String),
    /// It stopped sending before the end.
    #[error("the progress topic {0} has sent nothing for 10 s")]
    Silent(String),
    /// What stands there is not ours.
    #[error("the progress record of this source cannot be understood")]
    Decode(#[from] DecodeError),
}

/// The newest progress record of `source`, read up to the high watermark as it is now. Blocks.
pub(crate) fn read(
    brokers: &str,
    topic: &str,
    source: &str,
) -> Result<Option<Progress>, ReadProgressError> {
    let kafka = |error| ReadProgressError::Kafka { topic: topic.to_owned(), source: error };
    let consumer: BaseConsumer<ClientLog> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("client.id", "outbox-relay")
        .set("group.id", "outbox-relay")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", "8192")
        .create_with_context(ClientLog)
        .map_err(kafka)?;
    let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT).map_err(kafka)?;
    let partitions = metadata.topics().first().map_or(0, |found| found.partitions().len());
    if partitions == 0 {
        return Err(ReadProgressError::NoTopic(topic.to_owned()));
    }
    let mut newest = None;
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let (low, high) =
            consumer.fetch_watermarks(topic, partition, METADATA_TIMEOUT).map_err(kafka)?;
        if low == high {
            continue;
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Beginning).map_err(kafka)?;
        consumer.assign(&assignment).map_err(kafka)?;
        read_partition(&consumer, topic, source, high, &mut newest)?;
    }
    newest.map(|value| Progress::decode(&value)).transpose().map_err(ReadProgressError::from)
}

/// Reads one partition to `high`, leaving the newest value of the key `source` in `newest`.
fn read_partition(
    consumer: &BaseConsumer<ClientLog>,
    topic: &str,
    source: &str,
    high: i64,
    newest: &mut Option<Vec<u8>>,
) -> Result<(), ReadProgressError> {
    let mut heard_at = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard_at = Instant::now();
                if message.key() == Some(source.as_bytes()) {
                    *newest = message.payload().map(<[u8]>::to_vec);
                }
                if message.offset() + 1 >= high {
                    return Ok(());
                }
            }
            // Compaction may leave nothing before the high watermark.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => {
                return Err(ReadProgressError::Kafka { topic: topic.to_owned(), source: error });
            }
            None if heard_at.elapsed() > PATIENCE => {
                return Err(ReadProgressError::Silent(topic.to_owned()));
            }
            None => {}
        }
    }
}
