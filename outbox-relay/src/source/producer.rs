//! The Kafka producer of one source, and what it reports back.
//!
//! Nothing later may overtake a record that failed. Within librdkafka `enable.gapless.guarantee` sees to it: what cannot be
//! delivered stops the whole producer. `message.timeout.ms=0` means that waiting is never a failure. After the first failure
//! the owner drops this producer and goes on from the last acknowledged position with a new one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, util::Timeout};
use thiserror::Error;
use tokio::sync::Notify;

use crate::kafka::KafkaOptions;
use crate::metrics::SourceMetrics;
use crate::source::client::report;
use crate::source::progress_topic::PARTITION;
use crate::source::record::Record;

/// The delivery mark of a progress record; pages never reach it.
const PROGRESS: usize = usize::MAX;

/// The largest record the producer takes; the topic's own limit decides.
const MAX_MESSAGE_BYTES: &str = "100000000";

/// Why the producer has stopped.
#[derive(Clone, Debug, Error)]
pub(crate) enum SendError {
    /// Kafka will never take this record.
    #[error("Kafka refuses event {event_id} for topic {topic}: {reason}")]
    Refused {
        /// The event's id.
        event_id: String,
        /// The topic it is for.
        topic: String,
        /// What Kafka says.
        reason: String,
    },
    /// Whether a record has arrived is not known.
    #[error("the producer failed: {reason}")]
    Unknown {
        /// What librdkafka says.
        reason: String,
    },
}

/// What the producer has reported since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Pages and how many records of each were acknowledged.
    pub(crate) pages: Vec<(usize, usize)>,
    /// How many progress records were acknowledged.
    pub(crate) progress: usize,
    /// What stopped the producer.
    pub(crate) failure: Option<SendError>,
}

/// Where the callback leaves its reports.
struct Shared {
    reports: Mutex<Reports>,
    news: Notify,
    last_error: Mutex<Option<(Instant, String)>>,
    metrics: SourceMetrics,
}

/// The callback of the producer's thread.
struct Context {
    shared: Arc<Shared>,
}

/// A producer with a thread of its own that takes the acknowledgements.
pub(crate) struct Producer {
    producer: ThreadedProducer<Context>,
    shared: Arc<Shared>,
}

impl Producer {
    /// Starts a producer.
    pub(crate) fn new(kafka: &KafkaOptions, metrics: SourceMetrics) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared {
            reports: Mutex::default(),
            news: Notify::new(),
            last_error: Mutex::default(),
            metrics,
        });
        let producer = kafka
            .client()
            // Errors come by the callback; below that it would tell at each start that gapless is experimental.
            .set_log_level(RDKafkaLogLevel::Error)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", "0")
            .set("compression.codec", "lz4")
            .set("linger.ms", "0")
            .set("batch.size", "262144")
            .set("message.max.bytes", MAX_MESSAGE_BYTES)
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.propagation.max.ms", "5000")
            // The partitioner of Kafka's own clients, so that a key has one home whoever writes it.
            .set("partitioner", "murmur2_random")
            .create_with_context(Context { shared: Arc::clone(&shared) })?;
        Ok(Self { producer, shared })
    }

    /// Hands a record of `page` over; its outcome is reported later.
    pub(crate) fn send(&self, page: usize, record: &Record<'_>) -> Result<(), SendError> {
        let base = BaseRecord::with_opaque_to(record.topic, page)
            .key(record.key)
            .payload(record.payload)
            .timestamp(record.timestamp_ms)
            .headers(record.headers());
        self.producer.send(base).map_err(|(error, _)| match refusal(&error) {
            Some(_) => SendError::Refused {
                event_id: record.event_id.to_string(),
                topic: record.topic.to_owned(),
                reason: error.to_string(),
            },
            None => SendError::Unknown { reason: error.to_string() },
        })
    }

    /// Hands a progress record over; no value removes it.
    pub(crate) fn send_progress(
        &self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), SendError> {
        let base: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, PROGRESS).partition(PARTITION).key(key);
        let base = match value {
            Some(value) => base.payload(value),
            None => base,
        };
        self.producer
            .send(base)
            .map_err(|(error, _)| SendError::Unknown { reason: error.to_string() })
    }

    /// What has been reported since the last call.
    pub(crate) fn reports(&self) -> Reports {
        std::mem::take(&mut *lock(&self.shared.reports))
    }

    /// Waits until something is reported.
    pub(crate) async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// The last trouble with a broker, if there was any within the last minute.
    pub(crate) fn last_error(&self) -> Option<String> {
        let last = lock(&self.shared.last_error);
        last.as_ref()
            .filter(|(at, _)| at.elapsed() < Duration::from_secs(60))
            .map(|(_, error)| error.clone())
    }

    /// Stops at once: what is queued is thrown away, what is in flight may or may not arrive. Blocks for up to a second.
    pub(crate) fn abandon(self) {
        drop(self);
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
        *lock(&self.shared.last_error) = Some((Instant::now(), reason.to_owned()));
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, page: usize) {
        let mut reports = lock(&self.shared.reports);
        match result {
            Ok(_) if page == PROGRESS => reports.progress += 1,
            Ok(message) => {
                self.shared.metrics.acknowledged(message.timestamp().to_millis());
                match reports.pages.last_mut() {
                    Some((last, records)) if *last == page => *records += 1,
                    Some(_) | None => reports.pages.push((page, 1)),
                }
            }
            Err((error, message)) => {
                self.shared.metrics.failed();
                let failure = failure(error, message, page);
                // A refusal tells more than the failures of others that it brings about.
                if !matches!(reports.failure, Some(SendError::Refused { .. })) {
                    let known = reports.failure.take();
                    reports.failure = match (&failure, known) {
                        (SendError::Unknown { .. }, Some(known)) => Some(known),
                        (SendError::Refused { .. } | SendError::Unknown { .. }, _) => Some(failure),
                    };
                }
            }
        }
        drop(reports);
        self.shared.news.notify_one();
    }
}

fn failure(error: &KafkaError, message: &impl Message, page: usize) -> SendError {
    match refusal(error) {
        Some(_) if page != PROGRESS => SendError::Refused {
            event_id: header(message, "ce_id").unwrap_or_default(),
            topic: message.topic().to_owned(),
            reason: error.to_string(),
        },
        Some(_) | None => {
            SendError::Unknown { reason: format!("topic {}: {error}", message.topic()) }
        }
    }
}

/// The codes that say that this record will never be taken, whatever is tried.
fn refusal(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    let code = error.rdkafka_error_code()?;
    [
        RDKafkaErrorCode::MessageSizeTooLarge,
        RDKafkaErrorCode::MessageBatchTooLarge,
        RDKafkaErrorCode::InvalidMessage,
        RDKafkaErrorCode::InvalidRecord,
        RDKafkaErrorCode::InvalidTimestamp,
        RDKafkaErrorCode::InvalidTopic,
        RDKafkaErrorCode::PolicyViolation,
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownPartition,
    ]
    .contains(&code)
    .then_some(code)
}

fn header(message: &impl Message, key: &str) -> Option<String> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == key)?;
    header.value.map(|value| String::from_utf8_lossy(value).into_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long fetching metadata may take.
pub(crate) const METADATA_TIMEOUT: Timeout = Timeout::After(Duration::from_secs(3));
