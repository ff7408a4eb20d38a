//! Where an event stands on Kafka: its topic is read from the event's own time on, as consumers see it.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;

use crate::broker::{self, Heard};
use crate::fault::Fault;
use crate::kafka::KafkaOptions;
use crate::operator::event::Row;
use crate::operator::output::milliseconds;

/// How long Kafka may send nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A record of the event.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Occurrence {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// The record's timestamp.
    pub(crate) at: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The event's records, in their order.
    pub(crate) records: Vec<Occurrence>,
    /// How many records were looked through.
    read: usize,
    /// Whether there were more.
    cut: bool,
}

impl Display for Occurrence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "partition {}, offset {}, timestamp {}", self.partition, self.offset, self.at)
    }
}

impl Display for Search {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.records.len() {
            0 => write!(
                out,
                "it is published, but not among the topic's {} records since then: they were deleted with time, or `outbox-relay \
                 audit` tells more",
                self.read
            )?,
            1 => write!(out, "it is published")?,
            times => write!(out, "it is published {times} times, as after a crash or a replay")?,
        }
        if self.cut {
            write!(out, " (only {} records were looked through: see --records)", self.read)?;
        }
        Ok(())
    }
}

/// Looks for the records of `row`, through `limit` records at most. Blocks.
///
/// The first one tells the partition, and the others are left alone from then on: a key has one home.
pub(crate) fn find(kafka: &KafkaOptions, row: &Row, limit: usize) -> Result<Search, Fault> {
    let failed = |error: KafkaError| Fault::of_kafka(&error, &kafka.brokers, &[]);
    let consumer = broker::consumer(kafka, "read_committed").map_err(failed)?;
    let mut open = assign(&consumer, kafka, row)?;
    let wanted = row.event_id.to_string();
    let mut search = Search::default();
    let mut heard_at = Instant::now();
    while !open.is_empty() && !search.cut {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard_at = Instant::now();
                search.read += 1;
                search.cut = search.read >= limit;
                if is_of(&message, &wanted) {
                    search.records.push(occurrence(&message));
                    if open.len() > 1 {
                        open = BTreeSet::from([message.partition()]);
                        follow(&consumer, &message).map_err(failed)?;
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(failed(error)),
            None if heard_at.elapsed() > PATIENCE => {
                let cause =
                    format!("topic {} has sent nothing for {} s", row.topic, PATIENCE.as_secs());
                return Err(Fault::new(cause, "see whether all of Kafka's brokers are up"));
            }
            None => {}
        }
    }
    Ok(search)
}

/// Assigns every partition of the topic from the row's time on, and answers them.
fn assign(
    consumer: &BaseConsumer<Heard>,
    kafka: &KafkaOptions,
    row: &Row,
) -> Result<BTreeSet<i32>, Fault> {
    let failed = |error: KafkaError| Fault::of_kafka(&error, &kafka.brokers, &[]);
    let topic = row.topic.as_str();
    let metadata = broker::metadata(consumer, kafka, Some(topic))?;
    let partitions: BTreeSet<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id))
        .collect();
    if partitions.is_empty() {
        return Err(Fault::new(
            format!("there is no topic {topic}, or it may not be seen"),
            "create it, or authorise DESCRIBE on it",
        ));
    }
    let since_ms = i64::try_from(row.created_at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let mut times = TopicPartitionList::new();
    for partition in &partitions {
        times.add_partition_offset(topic, *partition, Offset::Offset(since_ms)).map_err(failed)?;
    }
    let offsets = consumer.offsets_for_times(times, PATIENCE).map_err(failed)?;
    consumer.assign(&offsets).map_err(failed)?;
    Ok(partitions)
}

/// Goes on after `message`, in its partition only.
fn follow(consumer: &BaseConsumer<Heard>, message: &BorrowedMessage<'_>) -> Result<(), KafkaError> {
    let mut one = TopicPartitionList::new();
    let next = Offset::Offset(message.offset() + 1);
    one.add_partition_offset(message.topic(), message.partition(), next)?;
    consumer.assign(&one)
}

fn is_of(message: &BorrowedMessage<'_>, event_id: &str) -> bool {
    message.headers().is_some_and(|headers| {
        headers
            .iter()
            .any(|header| header.key == "ce_id" && header.value == Some(event_id.as_bytes()))
    })
}

fn occurrence(message: &BorrowedMessage<'_>) -> Occurrence {
    Occurrence {
        partition: message.partition(),
        offset: message.offset(),
        at: milliseconds(message.timestamp().to_millis().unwrap_or_default()),
    }
}
