//! The limit: rows read in pages and given to librdkafka with the same key and headers, and nothing else. No gaps, no lock, no
//! progress, no memory bound of its own: what any relay has to do at least.
//!
//! It is a process of its own (`lab bare-pipeline`, hidden), so that it is measured as the relay is.

use std::time::Duration;

use anyhow::bail;
use futures::TryStreamExt;
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use sqlx::{
    ConnectOptions, Row,
    postgres::{PgConnectOptions, PgRow},
    types::time::OffsetDateTime,
};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The relay's own statement.
const READ_PAGE: &str = include_str!("../../../../outbox-relay/sql/read_page.sql");
const PAGE_ROWS: i64 = 1_000;
/// How many records are handed over between two looks for acknowledgements.
const POLL_EVERY: usize = 100;
/// Index scans in number order, as the relay has them.
const SESSION: [(&str, &str); 3] =
    [("enable_seqscan", "off"), ("enable_bitmapscan", "off"), ("jit", "off")];

/// Options of the hidden command `bare-pipeline`.
#[derive(Clone, Debug, clap::Args)]
pub struct BareOptions {
    /// The database with the outbox.
    #[arg(long)]
    pub database_url: String,
    /// Where the rows go.
    #[arg(long)]
    pub kafka_brokers: String,
}

/// Gives every row that is there to Kafka, and waits to be stopped.
///
/// # Errors
/// If the database or the broker refuses.
pub async fn bare_pipeline(options: BareOptions) -> anyhow::Result<()> {
    let producer = producer(&options.kafka_brokers)?;
    let database: PgConnectOptions = options.database_url.parse()?;
    let mut connection = database.options(SESSION).connect().await?;
    let mut head = 0_i64;
    loop {
        let rows = sqlx::query(READ_PAGE).bind(head).bind(i64::MAX).bind(PAGE_ROWS);
        let mut rows = rows.fetch(&mut connection);
        let mut taken = 0;
        while let Some(row) = rows.try_next().await? {
            head = row.try_get(0)?;
            send(&producer, &row)?;
            taken += 1;
            if taken % POLL_EVERY == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        if taken == 0 {
            break;
        }
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(100));
    }
    std::future::pending().await
}

/// Takes the acknowledgements.
struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            // Whoever waits for the record finds this in the log.
            eprintln!("not delivered: {error}");
        }
    }
}

fn producer(brokers: &str) -> anyhow::Result<BaseProducer<Deliveries>> {
    let producer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("linger.ms", "5")
        .set("batch.size", "262144")
        .set("partitioner", "murmur2_random")
        .create_with_context(Deliveries)?;
    Ok(producer)
}

/// The columns are those of the statement, in its order.
fn send(producer: &BaseProducer<Deliveries>, row: &PgRow) -> anyhow::Result<()> {
    let created_at: OffsetDateTime = row.try_get(7)?;
    let mut record = BaseRecord::to(row.try_get(2)?)
        .key(row.try_get::<&str, _>(3)?)
        .payload(row.try_get::<&[u8], _>(13)?)
        .timestamp(i64::try_from(created_at.unix_timestamp_nanos() / 1_000_000)?)
        .headers(headers(row, created_at)?);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                record = refused;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => bail!("a record was refused: {error}"),
        }
    }
}

/// The headers that the relay writes.
fn headers(row: &PgRow, created_at: OffsetDateTime) -> anyhow::Result<OwnedHeaders> {
    let mut buffer = Uuid::encode_buffer();
    let id: &str = row.try_get::<Uuid, _>(1)?.hyphenated().encode_lower(&mut buffer);
    let time = created_at.format(&Rfc3339)?;
    let headers = [
        ("content-type", row.try_get(12)?),
        ("ce_specversion", Some("1.0")),
        ("ce_id", Some(id)),
        ("ce_source", row.try_get(5)?),
        ("ce_type", row.try_get(4)?),
        ("ce_subject", row.try_get(6)?),
        ("ce_time", Some(time.as_str())),
        ("ce_correlationid", row.try_get(8)?),
        ("ce_causationid", row.try_get(9)?),
        ("traceparent", row.try_get(10)?),
        ("tracestate", row.try_get(11)?),
    ];
    let given = headers.iter().filter(|(_, value)| value.is_some());
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    Ok(given.fold(empty, |all, &(key, value)| all.insert(Header { key, value })))
}
