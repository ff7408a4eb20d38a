//! Changes a system behind its back: rows in its databases, and records on its topics.

use lab::{audit::Sources, tap::TOPICS};
use proto::{
    Event,
    store::users::events::v1::{UserDeleted, UserEvent},
};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::scenarios::PATIENCE;

/// An event that can be appended to an outbox and put on a topic.
#[derive(Clone)]
pub(super) struct Forged {
    pub(super) id: Uuid,
    topic: &'static str,
    key: String,
    event_type: String,
    at: OffsetDateTime,
    payload: Vec<u8>,
}

impl Forged {
    pub(super) fn new<E: Event>(event: E) -> Self {
        Self {
            id: Uuid::now_v7(),
            topic: E::TOPIC,
            key: event.key().unwrap().to_owned(),
            event_type: event.event_type().unwrap(),
            at: OffsetDateTime::now_utc().truncate_to_millisecond(),
            payload: event.encode_to_vec(),
        }
    }

    /// One that no service reads.
    pub(super) fn unread() -> Self {
        Self::new(UserEvent::from(UserDeleted { user_id: Uuid::now_v7().to_string() }))
    }

    /// Another one of the same key.
    pub(super) fn next(&self) -> Self {
        Self { id: Uuid::now_v7(), ..self.clone() }
    }

    /// Commits it to store-manager's outbox.
    pub(super) async fn append(&self, sources: &Sources) {
        let mut connection = PgConnection::connect(&sources.store_manager).await.unwrap();
        sqlx::query(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, created_at, payload)
             VALUES ($1, $2, $3, $4, 'store-manager', $3, $5, $6)",
        )
        .bind(self.id)
        .bind(self.topic)
        .bind(&self.key)
        .bind(&self.event_type)
        .bind(self.at)
        .bind(&self.payload)
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
    }

    /// Takes it out of store-manager's outbox.
    pub(super) async fn withdraw(&self, sources: &Sources) {
        let delete = format!("DELETE FROM messaging.outbox WHERE id = '{}'", self.id);
        execute(&sources.store_manager, &delete).await;
    }

    /// Puts it on its topic.
    pub(super) async fn publish(&self, sources: &Sources) {
        self.publish_to(sources, self.topic).await;
    }

    /// Puts it on the dead-letter topic of payments.
    pub(super) async fn park(&self, sources: &Sources) {
        self.publish_to(sources, &format!("payments.{}.dlq", TOPICS[0])).await;
    }

    async fn publish_to(&self, sources: &Sources, topic: &str) {
        let mut config = ClientConfig::new();
        let producer: FutureProducer =
            config.set("bootstrap.servers", &sources.brokers).create().unwrap();
        let (id, time) = (self.id.to_string(), self.at.format(&Rfc3339).unwrap());
        let headers = [
            ("ce_id", id.as_str()),
            ("ce_type", &self.event_type),
            ("ce_source", "store-manager"),
            ("ce_subject", &self.key),
            ("ce_time", &time),
        ];
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = FutureRecord::to(topic).key(&self.key).payload(&self.payload).headers(headers);
        producer.send(record, PATIENCE).await.unwrap();
    }
}

/// Runs a statement that must change one row.
pub(super) async fn execute(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let statement = sqlx::query(AssertSqlSafe(statement.to_owned()));
    let done = statement.execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    connection.close().await.unwrap();
}
