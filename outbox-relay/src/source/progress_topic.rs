//! Reads a source's progress from the compacted topic.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use thiserror::Error;

use crate::broker::{self, Heard};
use crate::core::progress::{DecodeError, Records};
use crate::fault::Fault;
use crate::kafka::KafkaOptions;
use crate::source::producer::METADATA_TIMEOUT;

/// How long reading the whole topic may take without a record coming in.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long somebody's open transaction is waited for: longer than a relay's may take.
const UNDECIDED_PATIENCE: Duration = Duration::from_secs(20);

/// Where the progress is kept, however many partitions the topic has: its order matters.
pub(crate) const PARTITION: i32 = 0;

/// Why the progress is not known.
#[derive(Debug, Error)]
pub(crate) enum ReadProgressError {
    /// There is no way to Kafka.
    #[error(transparent)]
    Unreachable(#[from] Fault),
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
    /// Some producer's transaction stays open.
    #[error("the progress topic {topic} has had an undecided transaction for 20 s")]
    Undecided {
        /// The topic's name.
        topic: String,
        /// Whether one of this source's own is among them: hangs, if its former owner is fenced.
        own: bool,
    },
    /// What stands there is not ours.
    #[error("the progress of this source cannot be understood")]
    Decode(#[from] DecodeError),
}

/// All records of `source` as they stand now, read up to the high watermark. Blocks.
///
/// What a transaction has written counts once it is committed: the end is waited for at which every transaction is decided.
pub(crate) fn read(
    kafka: &KafkaOptions,
    topic: &str,
    source: &str,
) -> Result<Records, ReadProgressError> {
    let failed = |error| ReadProgressError::Kafka { topic: topic.to_owned(), source: error };
    let everything = broker::consumer(kafka, "read_uncommitted").map_err(failed)?;
    let decided = broker::consumer(kafka, "read_committed").map_err(failed)?;
    let metadata = broker::metadata(&everything, kafka, Some(topic))?;
    let partitions = metadata.topics().first().map_or(0, |found| found.partitions().len());
    if partitions == 0 {
        return Err(ReadProgressError::NoTopic(topic.to_owned()));
    }
    let (low, high) =
        everything.fetch_watermarks(topic, PARTITION, METADATA_TIMEOUT).map_err(failed)?;
    let mut records = Records::new();
    if low < high {
        let stable = until_decided(&decided, topic, high)?;
        if stable < high {
            // The first of those that are open begins there.
            let first = (Offset::Offset(stable), stable + 1);
            let own = read_from(&everything, topic, source, first, &mut Records::new())?;
            return Err(ReadProgressError::Undecided { topic: topic.to_owned(), own });
        }
        read_from(&decided, topic, source, (Offset::Beginning, high), &mut records)?;
    }
    Ok(records)
}

/// Waits until no transaction below `high` is open, or for too long; answers up to where none is.
fn until_decided(
    consumer: &BaseConsumer<Heard>,
    topic: &str,
    high: i64,
) -> Result<i64, ReadProgressError> {
    let began = Instant::now();
    loop {
        let watermarks = consumer.fetch_watermarks(topic, PARTITION, METADATA_TIMEOUT);
        let (_, stable) = watermarks
            .map_err(|error| ReadProgressError::Kafka { topic: topic.to_owned(), source: error })?;
        if stable >= high || began.elapsed() > UNDECIDED_PATIENCE {
            return Ok(stable);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reads from there up to `high`, leaving the newest value of each of the source's keys in `records`. Answers whether any record was of
/// the source.
fn read_from(
    consumer: &BaseConsumer<Heard>,
    topic: &str,
    source: &str,
    (from, high): (Offset, i64),
    records: &mut Records,
) -> Result<bool, ReadProgressError> {
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, PARTITION, from)
        .and_then(|()| consumer.assign(&assignment))
        .map_err(|error| ReadProgressError::Kafka { topic: topic.to_owned(), source: error })?;
    let (mut heard_at, mut any) = (Instant::now(), false);
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard_at = Instant::now();
                if let Some(key) = message.key().filter(|key| is_of(source, key)) {
                    any = true;
                    match message.payload() {
                        Some(value) => records.insert(key.to_vec(), value.to_vec()),
                        None => records.remove(key),
                    };
                }
                if message.offset() + 1 >= high {
                    return Ok(any);
                }
            }
            // Compaction and the marks of transactions may leave nothing before the high watermark.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(any),
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

/// Whether a record of this key belongs to `source`: names have no slash.
fn is_of(source: &str, key: &[u8]) -> bool {
    key.strip_prefix(source.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
