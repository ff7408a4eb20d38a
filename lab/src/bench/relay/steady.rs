//! Numbered events at a steady rate: as outbox rows, each committed by itself, or straight to Kafka. The number is the key.

use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord},
};
use sqlx::PgConnection;
use tokio::time::{Instant as TokioInstant, sleep_until};
use uuid::Uuid;

use super::{ground::TOPIC, rows::connect};

/// Events per second.
pub(super) const RATE: u32 = 500;
/// Enough that one slow commit delays nobody else's.
const WRITERS: usize = 8;
const PAYLOAD: [u8; 200] = [b'x'; 200];
const INSERT: &str = "INSERT INTO messaging.outbox
    (id, aggregatetype, aggregateid, type, source, subject, correlationid, causationid, traceparent, payload)
    VALUES ($1, $2, $3, 'store.orders.events.v1.OrderCreated', '/store-manager', $3, $3, $3,
        '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', $4)";

/// Where events come from.
pub(super) enum Events {
    /// Connections that write to an outbox.
    Written(Vec<PgConnection>),
    /// A producer that sends each at once.
    Produced(BaseProducer),
}

impl Events {
    /// Events by way of the outbox at `url`.
    pub(super) async fn written(url: &str) -> anyhow::Result<Self> {
        Ok(Self::Written(try_join_all((0..WRITERS).map(|_| connect(url))).await?))
    }

    /// Events straight to Kafka.
    pub(super) fn produced(brokers: &str) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.codec", "lz4")
            .set("linger.ms", "0")
            .create()?;
        Ok(Self::Produced(producer))
    }

    /// Lets the events of `numbers` happen, each at its time, and tells when each had: committed, or handed over.
    pub(super) async fn happen(
        &mut self,
        numbers: Range<u64>,
    ) -> anyhow::Result<HashMap<u64, Instant>> {
        let start = TokioInstant::now();
        let first = numbers.start;
        let due = |number: u64| {
            let nth = u32::try_from(number - first).unwrap_or(u32::MAX);
            start + Duration::from_secs(1) * nth / RATE
        };
        match self {
            Self::Produced(producer) => produce(producer, numbers, due).await,
            Self::Written(connections) => {
                let writers = connections.iter_mut().enumerate().map(|(writer, connection)| {
                    let own = numbers.clone().skip(writer).step_by(WRITERS);
                    write(connection, own, due)
                });
                Ok(try_join_all(writers).await?.into_iter().flatten().collect())
            }
        }
    }
}

async fn write(
    connection: &mut PgConnection,
    numbers: impl Iterator<Item = u64>,
    due: impl Fn(u64) -> TokioInstant,
) -> anyhow::Result<Vec<(u64, Instant)>> {
    let mut committed = Vec::new();
    for number in numbers {
        sleep_until(due(number)).await;
        sqlx::query(INSERT)
            .bind(Uuid::now_v7())
            .bind(TOPIC)
            .bind(number.to_string())
            .bind(PAYLOAD)
            .execute(&mut *connection)
            .await?;
        committed.push((number, Instant::now()));
    }
    Ok(committed)
}

async fn produce(
    producer: &BaseProducer,
    numbers: Range<u64>,
    due: impl Fn(u64) -> TokioInstant,
) -> anyhow::Result<HashMap<u64, Instant>> {
    let mut sent = HashMap::new();
    for number in numbers {
        sleep_until(due(number)).await;
        let key = number.to_string();
        sent.insert(number, Instant::now());
        let record = BaseRecord::to(TOPIC).key(&key).payload(&PAYLOAD[..]);
        producer.send(record).map_err(|(error, _)| error)?;
        producer.poll(Duration::ZERO);
    }
    Ok(sent)
}
