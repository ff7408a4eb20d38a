//! Reaching Kafka, and saying in one sentence why it cannot be reached.
//!
//! A client that is not let in tells its caller only that time ran out; the reason comes beside, as an event.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use crate::blocking::blocking;
use crate::fault::Fault;
use crate::kafka::KafkaOptions;
use crate::source::client::{ClientLog, report};

/// How long Kafka may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(1);

/// So many of a client's last reports are kept.
const KEPT: usize = 20;

/// A context that remembers what the client reports.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<(RDKafkaErrorCode, String)>>);

impl Heard {
    fn all(&self) -> Vec<(RDKafkaErrorCode, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hear(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < KEPT {
            heard.push((code, reason.to_owned()));
        }
    }
}

impl ClientContext for Heard {
    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
        if let Some(code) = error.rdkafka_error_code() {
            self.hear(code, reason);
        }
    }

    /// How a broker hangs up comes as a line of the log only: `[thrd:kafka:9092/bootstrap]: kafka:9092/bootstrap: Disconnected: …`.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        ClientLog.log(level, facility, line);
        if facility == "FAIL" {
            let reason = line.split_once("]: ").map_or(line, |(_thread, reason)| reason);
            self.hear(RDKafkaErrorCode::BrokerTransportFailure, reason);
        }
    }
}

impl ConsumerContext for Heard {}

/// A consumer that belongs to no group and commits nothing; `isolation` is `read_committed` or `read_uncommitted`.
pub(crate) fn consumer(kafka: &KafkaOptions, isolation: &str) -> KafkaResult<BaseConsumer<Heard>> {
    settings(kafka, isolation).create_with_context(Heard::default())
}

/// The settings of such a consumer.
pub(crate) fn settings(kafka: &KafkaOptions, isolation: &str) -> ClientConfig {
    let mut settings = kafka.client();
    settings
        .set("group.id", "outbox-relay")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("queued.max.messages.kbytes", "8192");
    settings
}

/// What Kafka says of `topic`, or of all of them. Blocks, for some seconds at most.
pub(crate) fn metadata(
    consumer: &BaseConsumer<Heard>,
    kafka: &KafkaOptions,
    topic: Option<&str>,
) -> Result<Metadata, Fault> {
    let began = Instant::now();
    loop {
        let error = match consumer.fetch_metadata(topic, QUESTION) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        // Nothing is assigned, so that all that comes are the client's reports.
        while consumer.poll(Duration::ZERO).is_some() {}
        let heard = consumer.context().all();
        if began.elapsed() > PATIENCE || heard.iter().any(|(code, _)| Fault::is_telling(*code)) {
            return Err(Fault::of_kafka(&error, &kafka.brokers, &heard));
        }
    }
}

/// Asks Kafka for the same with a client of its own.
pub(crate) async fn ask(kafka: &KafkaOptions, topic: Option<&str>) -> Result<Metadata, Fault> {
    let (kafka, topic) = (kafka.clone(), topic.map(str::to_owned));
    blocking(move || {
        let consumer = consumer(&kafka, "read_committed")
            .map_err(|error| Fault::of_kafka(&error, &kafka.brokers, &[]))?;
        metadata(&consumer, &kafka, topic.as_deref())
    })
    .await
}
