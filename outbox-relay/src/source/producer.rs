//! The Kafka producer of one source, and what it reports back.
//!
//! Nothing later may overtake a record that failed. At least once, `enable.gapless.guarantee` sees to it: what cannot be
//! delivered stops the whole producer; and `message.timeout.ms=0` means that waiting is never a failure. Exactly once, a failure
//! spoils the transaction that everything since the last commit is in. After the first failure the owner drops this producer and
//! goes on with a new one from what is certain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, util::Timeout};
use thiserror::Error;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::blocking::blocking;
use crate::kafka::KafkaOptions;
use crate::metrics::SourceMetrics;
use crate::source::client::report;
use crate::source::native::{commit, flush};
use crate::source::progress_topic::PARTITION;
use crate::source::record::Record;
use crate::source::served::Served;

/// The delivery mark of a progress record; pages never reach it.
const PROGRESS: usize = usize::MAX;

/// What an operator may choose.
const COMPRESSION: &str = "compression.codec";

/// The largest record the producer takes; the topic's own limit decides.
const MAX_MESSAGE_BYTES: &str = "100000000";

/// For so long a record waits for others to share its batch, in milliseconds, unless the producer is hurried.
const LINGER: &str = "5";

/// Within so long a transaction has to be committed, or Kafka aborts it: an abandoned one holds up `read_committed` consumers.
const TRANSACTION_TIMEOUT: &str = "15000";

/// Within so long a record of a transaction has to arrive.
const TRANSACTION_SEND_TIMEOUT: &str = "10000";

/// How long initialising transactions may take: it ends the former owner's first.
const FENCING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a commit may take.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);

/// How often an event may come to Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Delivery {
    /// Once, and again after a crash or an unknown outcome.
    AtLeastOnce,
    /// Once, for consumers that read only what is committed: records and progress are in one Kafka transaction.
    ExactlyOnce,
}

/// Why the producer has stopped.
#[derive(Clone, Debug, Error)]
pub(crate) enum SendError {
    /// Kafka will never take this record.
    #[error("Kafka refuses event {event_id} for topic {topic}: {reason}")]
    Refused {
        /// The event's id; that of another one of the same batch, if it was not alone.
        event_id: Uuid,
        /// The topic it is for.
        topic: String,
        /// What Kafka says.
        reason: String,
        /// Whether any record for this topic would be refused.
        whole_topic: bool,
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
    producer: Arc<Served<Context>>,
    shared: Arc<Shared>,
}

/// What a producer is made for.
pub(crate) struct Purpose<'a> {
    /// How often an event may come.
    pub(crate) delivery: Delivery,
    /// The source and the topic of its progress. Whoever writes that owns the transactional id.
    pub(crate) source: &'a str,
    /// See `source`.
    pub(crate) progress_topic: &'a str,
    /// The largest batch that every topic takes, in bytes.
    pub(crate) batch_bytes: usize,
}

impl Producer {
    /// Starts a producer.
    pub(crate) fn new(
        kafka: &KafkaOptions,
        purpose: &Purpose<'_>,
        metrics: SourceMetrics,
    ) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared {
            reports: Mutex::default(),
            news: Notify::new(),
            last_error: Mutex::default(),
            metrics,
        });
        let mut config = kafka.client();
        config
            // Errors come by the callback; below that it would tell at each start that gapless is experimental.
            .set_log_level(RDKafkaLogLevel::Error)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", LINGER)
            .set("batch.size", purpose.batch_bytes.to_string())
            .set("message.max.bytes", MAX_MESSAGE_BYTES)
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.propagation.max.ms", "5000")
            // The partitioner of Kafka's own clients, so that a key has one home whoever writes it.
            .set("partitioner", "murmur2_random");
        if config.get(COMPRESSION).is_none() {
            config.set(COMPRESSION, "lz4");
        }
        match purpose.delivery {
            Delivery::AtLeastOnce => {
                config.set("enable.gapless.guarantee", "true").set("message.timeout.ms", "0");
            }
            Delivery::ExactlyOnce => {
                let Purpose { progress_topic, source, .. } = purpose;
                config
                    .set("transactional.id", format!("{progress_topic}/{source}"))
                    .set("transaction.timeout.ms", TRANSACTION_TIMEOUT)
                    .set("message.timeout.ms", TRANSACTION_SEND_TIMEOUT);
            }
        }
        let context = Context { shared: Arc::clone(&shared) };
        let producer: BaseProducer<Context> = config.create_with_context(context)?;
        let served = Served::start(producer);
        let served = served.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { producer: Arc::new(served), shared })
    }

    /// Ends whatever transaction a former owner of the source has left: from now on that one can commit nothing.
    pub(crate) async fn fence(&self) -> Result<(), SendError> {
        let producer = Arc::clone(&self.producer);
        let fenced = blocking(move || producer.init_transactions(FENCING_TIMEOUT)).await;
        fenced.map_err(|error| SendError::Unknown { reason: error.to_string() })
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Result<(), SendError> {
        self.producer
            .begin_transaction()
            .map_err(|error| SendError::Unknown { reason: error.to_string() })
    }

    /// Ends a transaction of a former owner that is fenced, of which Kafka has left a record undecided in the progress topic.
    ///
    /// A broker may hold a transaction for decided without having marked all its partitions. What a later producer of the same
    /// transactional id writes there has the same producer id, so that the mark which aborts it covers what hangs as well.
    pub(crate) async fn abort_what_hangs(&self, topic: &str, key: &[u8]) -> Result<(), SendError> {
        self.begin()?;
        self.send_progress(topic, key, None)?;
        let producer = Arc::clone(&self.producer);
        let aborted = blocking(move || {
            flush(&producer, COMMIT_TIMEOUT);
            producer.abort_transaction(COMMIT_TIMEOUT)
        });
        aborted.await.map_err(|error| SendError::Unknown { reason: error.to_string() })?;
        self.reports().failure.map_or(Ok(()), Err)
    }

    /// Commits it, once everything in it has arrived. After an error nobody knows whether it is committed.
    pub(crate) async fn commit(&self) -> Result<(), SendError> {
        let producer = Arc::clone(&self.producer);
        let committed = blocking(move || commit(&producer, COMMIT_TIMEOUT)).await;
        committed.map_err(|reason| SendError::Unknown { reason })
    }

    /// Hands a record of `page` over; its outcome is reported later.
    pub(crate) fn send(&self, page: usize, record: &Record<'_>) -> Result<(), SendError> {
        let base = BaseRecord::with_opaque_to(record.topic, page)
            .key(record.key)
            .payload(record.payload)
            .timestamp(record.timestamp_ms)
            .headers(record.headers());
        self.producer
            .send(base)
            .map_err(|(error, _)| not_sent(&error, record.event_id, record.topic))
    }

    /// Hands key and value of `message` over as a record of `page` for `topic`, with these headers.
    pub(crate) fn forward(
        &self,
        page: usize,
        message: &impl Message,
        topic: &str,
        headers: OwnedHeaders,
    ) -> Result<(), SendError> {
        let base: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, page).headers(headers);
        let base = message.key().into_iter().fold(base, BaseRecord::key);
        let base = message.payload().into_iter().fold(base, BaseRecord::payload);
        let event_id = event_id(message).unwrap_or_default();
        self.producer.send(base).map_err(|(error, _)| not_sent(&error, event_id, topic))
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

    /// Lets what was sent leave at once: nothing is about to follow.
    pub(crate) fn hurry(&self) {
        self.producer.hurry();
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

fn not_sent(error: &KafkaError, event_id: Uuid, topic: &str) -> SendError {
    match refusal(error) {
        Some(refusal) => SendError::Refused {
            event_id,
            topic: topic.to_owned(),
            reason: error.to_string(),
            whole_topic: refusal == Refusal::Topic,
        },
        None => SendError::Unknown { reason: error.to_string() },
    }
}

fn failure(error: &KafkaError, message: &impl Message, page: usize) -> SendError {
    match refusal(error) {
        Some(refusal) if page != PROGRESS => SendError::Refused {
            event_id: event_id(message).unwrap_or_default(),
            topic: message.topic().to_owned(),
            reason: error.to_string(),
            whole_topic: refusal == Refusal::Topic,
        },
        Some(_) | None => {
            SendError::Unknown { reason: format!("topic {}: {error}", message.topic()) }
        }
    }
}

/// What Kafka will never take, whatever is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// This record.
    Record,
    /// Any record for this topic.
    Topic,
}

fn refusal(error: &KafkaError) -> Option<Refusal> {
    let code = error.rdkafka_error_code()?;
    let record = [
        RDKafkaErrorCode::MessageSizeTooLarge,
        RDKafkaErrorCode::MessageBatchTooLarge,
        RDKafkaErrorCode::InvalidMessage,
        RDKafkaErrorCode::InvalidMessageSize,
        RDKafkaErrorCode::InvalidRecord,
        RDKafkaErrorCode::InvalidTimestamp,
        RDKafkaErrorCode::PolicyViolation,
    ];
    let topic = [
        RDKafkaErrorCode::InvalidTopic,
        RDKafkaErrorCode::TopicAuthorizationFailed,
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownPartition,
    ];
    if record.contains(&code) {
        Some(Refusal::Record)
    } else {
        topic.contains(&code).then_some(Refusal::Topic)
    }
}

fn event_id(message: &impl Message) -> Option<Uuid> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == "ce_id")?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long fetching metadata may take.
pub(crate) const METADATA_TIMEOUT: Timeout = Timeout::After(Duration::from_secs(3));
