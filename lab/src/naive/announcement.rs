//! What is to be announced: a row of the outbox, and a record on Kafka.

use proto::Event;
use rdkafka::{
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// An event on its way out.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    pub(super) id: Uuid,
    topic: String,
    key: String,
    event_type: String,
    source: String,
    subject: String,
    created_at: OffsetDateTime,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    payload: Vec<u8>,
}

impl Announcement {
    /// Of an event that `cause` has led to.
    pub(super) fn new<E: Event>(event: impl Into<E>, cause: Option<Uuid>) -> Self {
        let event = event.into();
        let key = event.key().expect("an announcement holds an event");
        Self {
            id: Uuid::now_v7(),
            topic: E::TOPIC.to_owned(),
            key: key.to_owned(),
            subject: key.to_owned(),
            // PostgreSQL keeps no more.
            created_at: OffsetDateTime::now_utc().truncate_to_microsecond(),
            correlation_id: Some(key.to_owned()),
            event_type: event.event_type().expect("an announcement holds an event"),
            source: E::SOURCE.to_owned(),
            causation_id: cause.map(|cause| cause.to_string()),
            payload: event.encode_to_vec(),
        }
    }

    /// Appends it to the outbox. Where there is no relay the row is a note for the auditor, who could not know otherwise what
    /// was committed; nobody else reads it.
    pub(super) async fn append(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let statement = "INSERT INTO messaging.outbox (
                 id, aggregatetype, aggregateid, type, source, subject, created_at, correlationid, causationid, payload
             ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        sqlx::query(statement)
            .bind(self.id)
            .bind(&self.topic)
            .bind(&self.key)
            .bind(&self.event_type)
            .bind(&self.source)
            .bind(&self.subject)
            .bind(self.created_at)
            .bind(&self.correlation_id)
            .bind(&self.causation_id)
            .bind(&self.payload)
            .execute(connection)
            .await
            .map(drop)
    }

    /// Sends it to Kafka and waits for the acknowledgement.
    pub(super) async fn publish(&self, producer: &FutureProducer) -> KafkaResult<()> {
        let id = self.id.to_string();
        let time = self.created_at.format(&Rfc3339).unwrap_or_default();
        let headers = [
            ("ce_id", Some(id.as_str())),
            ("ce_type", Some(&self.event_type)),
            ("ce_source", Some(&self.source)),
            ("ce_subject", Some(&self.subject)),
            ("ce_time", Some(&time)),
            ("ce_correlationid", self.correlation_id.as_deref()),
            ("ce_causationid", self.causation_id.as_deref()),
        ];
        let headers = headers
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value }));
        let record = FutureRecord::to(&self.topic).key(&self.key).payload(&self.payload);
        let sent = producer.send_result(record.headers(headers)).map_err(|(error, _)| error)?;
        sent.await.map_err(|_| KafkaError::Canceled)?.map_err(|(error, _)| error)?;
        Ok(())
    }
}

impl From<&PgRow> for Announcement {
    fn from(row: &PgRow) -> Self {
        Self {
            id: row.get("id"),
            topic: row.get("aggregatetype"),
            key: row.get("aggregateid"),
            event_type: row.get("type"),
            source: row.get("source"),
            subject: row.get("subject"),
            created_at: row.get("created_at"),
            correlation_id: row.get("correlationid"),
            causation_id: row.get("causationid"),
            payload: row.get("payload"),
        }
    }
}
