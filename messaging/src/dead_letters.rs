//! Dead letters: what can never be handled is parked, whole and with its reason, where an operator finds it.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::Delivery},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{HandleError, Record, client::ClientLog, topics};

/// How long a dead letter may take to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a record is parked.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    /// Header `dlq-reason`: a word.
    pub(crate) reason: &'static str,
    /// Header `dlq-error`: the error with its causes.
    pub(crate) error: String,
}

impl From<&HandleError> for Rejection {
    fn from(error: &HandleError) -> Self {
        Self { reason: error.reason(), error: runtime::with_causes(error) }
    }
}

/// Writes the dead letters of one group.
pub(crate) struct DeadLetters {
    producer: FutureProducer<ClientLog>,
    group: String,
}

impl DeadLetters {
    pub(crate) fn new(brokers: &str, group: &str) -> KafkaResult<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", format!("{group}-dead-letters"))
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("delivery.timeout.ms", PATIENCE.as_millis().to_string())
            .set("linger.ms", "0")
            .create_with_context(ClientLog)?;
        Ok(Self { producer, group: group.to_owned() })
    }

    /// Parks `record`, and returns once Kafka has acknowledged it.
    pub(crate) async fn park(
        &self,
        record: &Record,
        rejection: &Rejection,
        attempts: u32,
    ) -> Result<Delivery, KafkaError> {
        let topic = topics::dead_letter_topic(&self.group, &record.topic);
        let mut letter: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&topic).headers(headers(record, rejection, attempts));
        if let Some(key) = &record.key {
            letter = letter.key(key.as_slice());
        }
        if let Some(payload) = &record.payload {
            letter = letter.payload(payload.as_slice());
        }
        self.producer.send(letter, PATIENCE).await.map_err(|(error, _)| error)
    }
}

/// The record's own headers, then what became of it.
fn headers(record: &Record, rejection: &Rejection, attempts: u32) -> OwnedHeaders {
    let own = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: value.as_deref() })
    });
    let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    [
        ("dlq-reason", rejection.reason.to_owned()),
        ("dlq-error", rejection.error.clone()),
        ("dlq-original-topic", record.topic.clone()),
        ("dlq-original-partition", record.partition.to_string()),
        ("dlq-original-offset", record.offset.to_string()),
        ("dlq-attempts", attempts.to_string()),
        ("dlq-time", time),
    ]
    .iter()
    .fold(own, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
