//! Relays that are broken on purpose, each in one way that real ones were: the campaign has to catch every one of them.
//!
//! They are tiny, live in this process, and share nothing with the relay. [`Variant::Sound`] and [`Variant::SoundOnce`] are the same
//! without the flaw: nothing may be found wrong with them.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer},
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::time::sleep;
use uuid::Uuid;

use super::{Delivery, RoundError, course::Course, place::Place, writers::connect};

const POLL: Duration = Duration::from_millis(30);
const PAGE: i64 = 1_000;
const KAFKA_TIMEOUT: Duration = Duration::from_secs(20);

/// A relay in a few lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Looks for gaps and page in one statement; keeps its progress after the acknowledgement.
    Sound,
    /// Sends in transactions, and keeps its progress with the commit.
    SoundOnce,
    /// Reads what lies above the last number it has seen, and nothing else.
    WithoutGaps,
    /// Sends a page, and looks its gaps up afterwards.
    PageBeforeGaps,
    /// Sends nothing above a gap.
    WaitsForGaps,
    /// Keeps its progress before Kafka has acknowledged.
    ProgressFirst,
    /// Keeps its progress after the transaction of the records.
    ProgressOutside,
    /// Runs twice, and nothing keeps the two apart.
    WithoutLock,
}

/// How far it has come: what survives its death.
#[derive(Clone, Debug, Default)]
struct Progress {
    head: i64,
    gaps: BTreeSet<i64>,
}

/// A variant over its place.
pub(super) struct Naive<'a> {
    pub(super) variant: Variant,
    pub(super) place: &'a Place,
    pub(super) course: &'a Course,
    kept: Mutex<Progress>,
}

impl Variant {
    /// What it claims to deliver.
    #[must_use]
    pub fn delivery(self) -> Delivery {
        match self {
            Self::SoundOnce | Self::ProgressOutside | Self::WithoutLock => Delivery::ExactlyOnce,
            Self::Sound
            | Self::WithoutGaps
            | Self::PageBeforeGaps
            | Self::WaitsForGaps
            | Self::ProgressFirst => Delivery::AtLeastOnce,
        }
    }

    /// How often it looks: the slower, the more happens between two looks.
    fn poll(self) -> Duration {
        if self == Self::PageBeforeGaps { POLL * 4 } else { POLL }
    }
}

impl<'a> Naive<'a> {
    /// One that has published nothing yet.
    pub(super) fn new(variant: Variant, place: &'a Place, course: &'a Course) -> Self {
        Self { variant, place, course, kept: Mutex::default() }
    }

    /// Lives until the course ends. If its flaw shows only when it dies, it dies while it handles page `hit`, and lives again.
    pub(super) async fn live(&self, hit: u64) -> Result<(), RoundError> {
        match self.variant {
            Variant::WithoutGaps | Variant::PageBeforeGaps | Variant::WaitsForGaps => {
                self.course.fault_ended();
                self.run("one", None).await
            }
            Variant::WithoutLock => {
                self.course.fault_ended();
                tokio::try_join!(self.run("one", None), self.run("two", None)).map(drop)
            }
            Variant::Sound
            | Variant::SoundOnce
            | Variant::ProgressFirst
            | Variant::ProgressOutside => {
                self.run("one", Some(hit)).await?;
                self.course.fault_ended();
                self.run("one", None).await
            }
        }
    }

    /// Publishes until the course ends, or until it dies at its page `last`.
    async fn run(&self, id: &str, last: Option<u64>) -> Result<(), RoundError> {
        let producer = self.producer(id).await?;
        let mut connection = connect(self.place).await?;
        let mut progress = self.kept();
        let mut pages = 0;
        while !self.course.is_stopping() {
            let rows = self.look(&mut connection, &mut progress).await?;
            if !rows.is_empty() {
                pages += 1;
                if self.publish(&producer, &rows, &progress, last == Some(pages)).await? {
                    break;
                }
            }
            sleep(self.variant.poll()).await;
        }
        Ok(())
    }

    /// The rows that are to be sent next, in the order in which it sends them.
    async fn look(
        &self,
        connection: &mut PgConnection,
        progress: &mut Progress,
    ) -> Result<Vec<PgRow>, RoundError> {
        let gaps: Vec<i64> = progress.gaps.iter().copied().collect();
        let mut rows = match self.variant {
            Variant::Sound
            | Variant::SoundOnce
            | Variant::ProgressFirst
            | Variant::ProgressOutside
            | Variant::WithoutLock => select(connection, progress.head, &gaps).await?,
            Variant::WithoutGaps | Variant::WaitsForGaps => {
                select(connection, progress.head, &[]).await?
            }
            Variant::PageBeforeGaps => {
                let page = select(connection, progress.head, &[]).await?;
                let late = select(connection, i64::MAX, &gaps).await?;
                page.into_iter().chain(late).collect()
            }
        };
        if self.variant == Variant::WaitsForGaps {
            let wanted = progress.head + 1..;
            rows = rows
                .into_iter()
                .zip(wanted)
                .take_while(|(row, next)| number(row) == *next)
                .map(|(row, _)| row)
                .collect();
        }
        rows.iter().for_each(|row| progress.take(number(row)));
        Ok(rows)
    }

    /// Sends the rows and keeps the progress; answers whether it dies meanwhile.
    async fn publish(
        &self,
        producer: &FutureProducer,
        rows: &[PgRow],
        progress: &Progress,
        dies: bool,
    ) -> Result<bool, RoundError> {
        let transactional = self.variant.delivery() == Delivery::ExactlyOnce;
        if self.variant == Variant::ProgressFirst {
            self.keep(progress);
            if dies {
                return Ok(true);
            }
        }
        if transactional {
            producer.begin_transaction()?;
        }
        let sent: Vec<_> =
            rows.iter().map(|row| send(producer, row)).collect::<KafkaResult<_>>()?;
        for record in sent {
            record.await.map_err(|_| KafkaError::Canceled)?.map_err(|(error, _)| error)?;
        }
        if transactional {
            if dies && self.variant == Variant::SoundOnce {
                return Ok(true);
            }
            blocking(producer, |producer| producer.commit_transaction(KAFKA_TIMEOUT)).await?;
        }
        if dies && self.variant != Variant::SoundOnce {
            return Ok(true);
        }
        self.keep(progress);
        Ok(false)
    }

    fn kept(&self) -> Progress {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, progress: &Progress) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = progress.clone();
    }

    async fn producer(&self, id: &str) -> Result<FutureProducer, RoundError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.place.brokers)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random");
        let transactional = self.variant.delivery() == Delivery::ExactlyOnce;
        if transactional {
            config.set("transactional.id", format!("{}.{id}", self.place.progress_topic));
        }
        let producer: FutureProducer = config.create()?;
        if transactional {
            blocking(&producer, |producer| producer.init_transactions(KAFKA_TIMEOUT)).await?;
        }
        Ok(producer)
    }
}

impl Progress {
    fn take(&mut self, number: i64) {
        if number > self.head {
            self.gaps.extend(self.head + 1..number);
            self.head = number;
        }
        self.gaps.remove(&number);
    }
}

/// The rows in `gaps` and a page of those above `head`, ascending.
async fn select(
    connection: &mut PgConnection,
    head: i64,
    gaps: &[i64],
) -> sqlx::Result<Vec<PgRow>> {
    sqlx::query(
        "SELECT sequence, id, aggregatetype, aggregateid, payload FROM messaging.outbox
        WHERE sequence > $1 OR sequence = ANY ($2)
        ORDER BY sequence
        LIMIT $3",
    )
    .bind(head)
    .bind(gaps)
    .bind(PAGE)
    .fetch_all(connection)
    .await
}

fn number(row: &PgRow) -> i64 {
    row.get("sequence")
}

/// Hands a record over; its acknowledgement comes later.
fn send(producer: &FutureProducer, row: &PgRow) -> KafkaResult<DeliveryFuture> {
    let (topic, key): (&str, &str) = (row.get("aggregatetype"), row.get("aggregateid"));
    let payload: &[u8] = row.get("payload");
    let id = row.get::<Uuid, _>("id").to_string();
    let headers = OwnedHeaders::new().insert(Header { key: "ce_id", value: Some(&id) });
    let record = FutureRecord::to(topic).key(key).payload(payload).headers(headers);
    producer.send_result(record).map_err(|(error, _)| error)
}

async fn blocking(
    producer: &FutureProducer,
    work: impl FnOnce(&FutureProducer) -> KafkaResult<()> + Send + 'static,
) -> Result<(), RoundError> {
    let producer = producer.clone();
    let done = tokio::task::spawn_blocking(move || work(&producer)).await;
    Ok(done.map_err(|_| KafkaError::Canceled)??)
}
