//! Reads topics as a consumer sees them, from their beginnings to where they end now. A [`Reader`] blocks.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::{self, Heard};
use crate::fault::Fault;
use crate::kafka::KafkaOptions;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long Kafka may take to answer a question.
const ANSWER: Duration = Duration::from_secs(10);

/// How much is fetched at once: when it is unpacked, it may be some hundred times as much.
const FETCH_BYTES: &str = "65536";

/// A partition of a topic, and which of its offsets are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) partition: i32,
    /// The first offset that is still there.
    pub(crate) first: i64,
    /// The first offset that is not meant any more.
    pub(crate) end: i64,
}

/// A reader of topics.
pub(crate) struct Reader {
    /// Sees what is decided.
    consumer: BaseConsumer<Heard>,
    /// Sees also what is not.
    everything: BaseConsumer<Heard>,
    kafka: KafkaOptions,
}

impl Reader {
    /// Starts one.
    pub(crate) fn new(kafka: &KafkaOptions) -> Result<Self, Fault> {
        let failed = |error| Fault::of_kafka(&error, &kafka.brokers, &[]);
        let consumer = broker::settings(kafka, "read_committed")
            .set("fetch.message.max.bytes", FETCH_BYTES)
            .create_with_context(Heard::default());
        Ok(Self {
            consumer: consumer.map_err(failed)?,
            everything: broker::consumer(kafka, "read_uncommitted").map_err(failed)?,
            kafka: kafka.clone(),
        })
    }

    /// The names of all topics, in their order.
    pub(crate) fn topics(&self) -> Result<Vec<String>, Fault> {
        let metadata = broker::metadata(&self.everything, &self.kafka, None)?;
        let mut names: Vec<String> =
            metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// The partitions of a topic and where they begin and end now; none if there is no such topic.
    pub(crate) fn spans(&self, topic: &str) -> Result<Vec<Span>, Fault> {
        let metadata = broker::metadata(&self.everything, &self.kafka, Some(topic))?;
        let partitions = metadata.topics().first().map_or(&[][..], |found| found.partitions());
        partitions
            .iter()
            .map(|partition| {
                let partition = partition.id();
                let watermarks = self.everything.fetch_watermarks(topic, partition, ANSWER);
                let (first, end) = watermarks.map_err(|error| self.fault(&error))?;
                Ok(Span { partition, first, end })
            })
            .collect()
    }

    /// Shows every record of the spans of `topic` to `visit`, each partition's in their order, and none that a transaction has
    /// written and not committed. One partition after another, so that memory does not grow with their number.
    pub(crate) fn read(
        &self,
        topic: &str,
        spans: &[Span],
        mut visit: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for span in spans.iter().filter(|span| span.first < span.end) {
            self.until_decided(topic, span)?;
            self.read_span(topic, span, &mut visit)?;
        }
        self.consumer.unassign().map_err(|error| self.fault(&error))
    }

    fn read_span(
        &self,
        topic: &str,
        span: &Span,
        visit: &mut impl FnMut(&BorrowedMessage<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut only = TopicPartitionList::new();
        only.add_partition_offset(topic, span.partition, Offset::Offset(span.first))
            .and_then(|()| self.consumer.assign(&only))
            .map_err(|error| self.fault(&error))?;
        let mut heard_at = Instant::now();
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.partition() != span.partition => {}
                Some(Ok(message)) => {
                    heard_at = Instant::now();
                    if message.offset() < span.end {
                        visit(&message)?;
                    }
                    if message.offset() + 1 >= span.end {
                        return Ok(());
                    }
                }
                // The marks of transactions leave no message before the end.
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == span.partition => {
                    return Ok(());
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(self.fault(&error)),
                None if heard_at.elapsed() > PATIENCE => return Err(silent(topic)),
                None => {}
            }
        }
    }

    /// Waits until no transaction below the end is open.
    fn until_decided(&self, topic: &str, span: &Span) -> Result<(), Fault> {
        let began = Instant::now();
        loop {
            let watermarks = self.consumer.fetch_watermarks(topic, span.partition, ANSWER);
            let (_, stable) = watermarks.map_err(|error| self.fault(&error))?;
            if stable >= span.end {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(Fault::new(
                    format!(
                        "topic {topic} has had an undecided transaction for {} s",
                        PATIENCE.as_secs()
                    ),
                    "see which producer hangs (kafka-transactions.sh find-hanging), and try again",
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn fault(&self, error: &KafkaError) -> Fault {
        Fault::of_kafka(error, &self.kafka.brokers, &[])
    }
}

fn silent(topic: &str) -> Fault {
    Fault::new(
        format!("topic {topic} has sent nothing for {} s", PATIENCE.as_secs()),
        "see whether all of Kafka's brokers are up",
    )
}
