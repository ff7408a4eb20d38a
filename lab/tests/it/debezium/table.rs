//! The outbox table itself: written by plain SQL, read by Debezium's EventRouter.

use std::{collections::HashSet, time::Duration};

use lab::{
    stack::Stack,
    tap::{From, Tap, Tapped},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::started;

const PATIENCE: Duration = Duration::from_secs(60);
const TABLE: &str = include_str!("../../../../migrations/messaging/0001_create_outbox.sql");
const KEY: &str = "order-1";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread")]
async fn debezium_publishes_each_row_byte_for_byte_and_goes_on_after_a_kill() {
    let stack = Stack::shared().await.unwrap();
    let kafka = stack.kafka().await.unwrap();
    let topic = format!("debezium.{}", Uuid::now_v7());
    create_topic(kafka.brokers(), &topic).await;
    let name = format!("outbox_{}", Uuid::now_v7().simple());
    let url = stack.create_database(&name).await.unwrap();
    let mut outbox = Outbox::open(&url, &topic).await;
    let mut written = vec![outbox.append(None).await, outbox.append(Some("saga")).await];

    let Some(debezium) = started(stack, &url, kafka.brokers()).await else { return };
    let tap = Tap::open(kafka.brokers(), &[&topic], From::Beginning).await.unwrap();
    written.push(outbox.append(Some("saga")).await);
    outbox.goes_to_the_next_partition().await;
    written.push(outbox.append(None).await);
    let mut seen = HashSet::new();
    for (number, id) in written.iter().enumerate() {
        let record = next_new(&tap, &mut seen).await;
        assert_eq!(record.header("ce_id"), format!("\"{id}\""), "record {number} is out of order");
        assert_as_written(&record, id, number);
    }

    debezium.kill().await;
    let late = outbox.append(Some("saga")).await;
    debezium.start().await.unwrap();
    assert_as_written(&next_new(&tap, &mut seen).await, &late, written.len());
    debezium.remove().await.unwrap();
}

/// All that the EventRouter takes from a row is where the store's services look for it. Debezium writes headers as JSON.
fn assert_as_written(record: &Tapped, id: &Uuid, number: usize) {
    let quoted = |text: &str| format!("\"{text}\"");
    assert_eq!((record.key(), record.payload()), (KEY, payload(number).as_slice()));
    for name in ["ce_id", "id"] {
        assert_eq!(record.header(name), quoted(&id.to_string()), "{name}");
    }
    assert_eq!(record.header("ce_type"), quoted("store.Test"));
    assert_eq!(record.header("ce_source"), quoted("lab"));
    assert_eq!(record.header("ce_subject"), quoted(KEY));
    assert_eq!(record.header("content-type"), quoted("application/protobuf"));
    assert!(record.header("ce_time").starts_with("\"20"), "{}", record.header("ce_time"));
    let has_saga = record.header("ce_correlationid") != "null";
    for (name, text) in [
        ("ce_correlationid", "saga"),
        ("ce_causationid", "cause"),
        ("traceparent", TRACEPARENT),
        ("tracestate", "lab=1"),
    ] {
        let expected = if has_saga { quoted(text) } else { "null".to_owned() };
        assert_eq!(record.header(name), expected, "{name}");
    }
}

/// The next record that was not there before: after a kill the last ones may come again.
async fn next_new(tap: &Tap, seen: &mut HashSet<String>) -> Tapped {
    loop {
        let record = timeout(PATIENCE, tap.next()).await.expect("no record came").unwrap();
        if seen.insert(record.header("ce_id").to_owned()) {
            return record;
        }
    }
}

/// No text in any encoding.
fn payload(number: usize) -> Vec<u8> {
    vec![0x00, 0xff, 0x80, u8::try_from(number).unwrap()]
}

struct Outbox {
    connection: PgConnection,
    topic: String,
    rows: usize,
}

impl Outbox {
    async fn open(url: &str, topic: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(TABLE).execute(&mut connection).await.unwrap();
        Self { connection, topic: topic.to_owned(), rows: 0 }
    }

    /// Appends a row, of a saga with its cause and its trace or with none of them.
    async fn append(&mut self, saga: Option<&str>) -> Uuid {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload,
                correlationid, causationid, traceparent, tracestate)
            VALUES ($1, $2, $3, 'store.Test', 'lab', $3, $4, $5, $6, $7, $8)";
        sqlx::query(insert)
            .bind(id)
            .bind(&self.topic)
            .bind(KEY)
            .bind(payload(self.rows))
            .bind(saga)
            .bind(saga.map(|_| "cause"))
            .bind(saga.map(|_| TRACEPARENT))
            .bind(saga.map(|_| "lab=1"))
            .execute(&mut self.connection)
            .await
            .unwrap();
        self.rows += 1;
        id
    }

    async fn goes_to_the_next_partition(&mut self) {
        let set = "SELECT setval('messaging.outbox_sequence', 10000000)";
        sqlx::query(set).execute(&mut self.connection).await.unwrap();
    }
}

async fn create_topic(brokers: &str, name: &str) {
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topic = NewTopic::new(name, 3, TopicReplication::Fixed(1));
    let created = client.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(created[0].is_ok(), "{created:?}");
}
