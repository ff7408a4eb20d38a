//! One source: a database with an outbox table. Its task leads while it holds the source's lock, stands by while another does,
//! and starts over with growing pauses whatever fails, without touching the other sources.

mod client;
pub(crate) mod database;
mod leader;
mod look;
pub(crate) mod partitions;
mod producer;
mod progress_topic;
mod record;
mod trace;
mod wakeup;

use std::sync::Arc;
use std::time::Duration;

use runtime::Shutdown;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use crate::core::ledger::Ledger;
use crate::core::parked::Parked;
use crate::core::position::Position;
use crate::core::progress::{Discontinuity, Identity, Progress, Records, Start, changes, start};
use crate::kafka::KafkaOptions;
use crate::metrics::SourceMetrics;
use crate::source::database::{Database, DatabaseError};
use crate::source::leader::{LeadError, Leader, State};
use crate::source::partitions::Partitions;
use crate::source::producer::{Producer, SendError};
use crate::source::progress_topic::ReadProgressError;
use crate::source::wakeup::Wakeup;
use crate::status::{Phase, Status};

/// How often a standby tries to take over.
const STANDBY_POLL: Duration = Duration::from_millis(500);

/// The first pause after a failure; doubled up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The pause before a record that was refused by itself is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// How long Kafka may take for the first progress record.
const FIRST_PROGRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// The bounds that keep memory flat.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Rows of one page.
    pub(crate) page_rows: usize,
    /// Bytes after which a page ends.
    pub(crate) page_bytes: usize,
    /// Records sent and not acknowledged.
    pub(crate) rows_in_flight: usize,
    /// Bytes sent and not acknowledged.
    pub(crate) bytes_in_flight: usize,
    /// Runs of open gaps above which nothing is read ahead.
    pub(crate) gap_runs: usize,
    /// How long the relay sleeps without a notification.
    pub(crate) fallback_poll: Duration,
}

/// The pauses between attempts: each twice the last, short again after one that held for a while.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after an attempt that `lasted` so long.
    fn pause(&mut self, lasted: Duration) -> Duration {
        if lasted > LONGEST_PAUSE * 2 {
            self.failures = 0;
        }
        let pause = SHORTEST_PAUSE * 2_u32.pow(self.failures.min(10));
        self.failures += 1;
        pause.min(LONGEST_PAUSE)
    }
}

/// What one source is and needs.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) url: SecretString,
    pub(crate) kafka: KafkaOptions,
    pub(crate) progress_topic: String,
    pub(crate) limits: Limits,
    pub(crate) partitions: Partitions,
    /// Whether each record gets a span of its own.
    pub(crate) tracing: bool,
    pub(crate) metrics: SourceMetrics,
    pub(crate) status: Arc<Status>,
}

/// Why a source has started over.
#[derive(Debug, Error)]
enum SourceError {
    #[error(transparent)]
    Lead(#[from] LeadError),
    #[error(transparent)]
    Discontinuity(#[from] Discontinuity),
    #[error(transparent)]
    Progress(#[from] ReadProgressError),
    #[error("the kafka producer cannot be created")]
    Producer(#[from] rdkafka::error::KafkaError),
    #[error("kafka has not acknowledged the first progress record within 10 s ({0})")]
    FirstProgress(String),
}

impl From<DatabaseError> for SourceError {
    fn from(error: DatabaseError) -> Self {
        Self::Lead(LeadError::Database(error))
    }
}

/// A source that is led: the lock is held by this connection.
struct Led {
    database: Database,
    wakeup: Wakeup,
    identity: Identity,
    /// The progress records as they stand on Kafka.
    records: Records,
}

impl Source {
    /// Serves the source until asked to stop. Fails never: it tries again.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        while !shutdown.is_requested() {
            let began = Instant::now();
            let Err(error) = self.serve(&shutdown).await else { return };
            let reason = chain(&error);
            tracing::error!(source = self.name, reason, "the source starts over");
            let needs_help = matches!(
                error,
                SourceError::Discontinuity(_)
                    | SourceError::Lead(LeadError::Database(
                        DatabaseError::SequenceCache { .. }
                            | DatabaseError::NoEpoch
                            | DatabaseError::NoOutbox(_)
                    ))
            );
            self.status.enter(if needs_help {
                Phase::Stopped(reason)
            } else {
                Phase::Retrying(reason)
            });
            let _stopped = timeout(backoff.pause(began.elapsed()), shutdown.requested()).await;
        }
    }

    /// Waits for the lock and leads while it lasts. Ends without an error when asked to stop.
    async fn serve(&self, shutdown: &Shutdown) -> Result<(), SourceError> {
        let url = self.url.expose_secret();
        let mut database = Database::connect(url).await?;
        database.check_sequence().await?;
        while !database.try_lead().await? {
            self.status.enter(Phase::Standby);
            if timeout(STANDBY_POLL, shutdown.requested()).await.is_ok() {
                return Ok(());
            }
        }
        tokio::select! {
            led = self.lead(database, shutdown) => led,
            never = self.partitions.keep_ahead(url, &self.status, &self.metrics) => match never {},
        }
    }

    /// Leads: from the progress record on, with one producer after another.
    async fn lead(&self, mut database: Database, shutdown: &Shutdown) -> Result<(), SourceError> {
        database.check_sequence().await?;
        let wakeup = Wakeup::listen(self.url.expose_secret()).await?;
        let (identity, published) = database.identity().await?;
        let mut records = self.read_progress().await?;
        let recorded =
            Progress::decode(&self.name, &records).map_err(ReadProgressError::from)?;
        let last_value = database.last_value().await?;
        let position = match start(recorded, &identity, published, last_value)? {
            Start::From(position, _) => position,
            Start::First => self.first_start(&identity, &mut records).await?,
        };
        if !published {
            database.mark_published().await?;
        }
        tracing::info!(
            source = self.name,
            head = position.head(),
            gaps = position.gaps().len(),
            "leading"
        );
        let mut led = Led { database, wakeup, identity, records };
        self.publish(&mut led, Ledger::resume(position), shutdown).await?;
        led.database.close().await?;
        Ok(())
    }

    /// Publishes until asked to stop, or until the lock is lost.
    async fn publish(
        &self,
        led: &mut Led,
        mut ledger: Ledger,
        shutdown: &Shutdown,
    ) -> Result<(), SourceError> {
        let mut caution = 0;
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let producer = Producer::new(&self.kafka, self.metrics.clone())?;
            let mut leader = Leader {
                source: self,
                identity: &led.identity,
                database: &mut led.database,
                wakeup: &mut led.wakeup,
                producer: &producer,
                ledger: &mut ledger,
                records: &mut led.records,
                caution,
                shutdown,
                state: State::default(),
            };
            let ended = leader.lead().await;
            let alone = leader.caution > 0;
            caution = leader.caution;
            abandon(producer).await;
            let failure = match ended {
                Ok(()) => return Ok(()),
                Err(LeadError::Send(failure)) => failure,
                Err(error @ LeadError::Database(_)) => return Err(error.into()),
            };
            tracing::error!(source = self.name, reason = %failure, "sending stopped; on from what is acknowledged");
            let (phase, pause) = match &failure {
                // The first time, the culprit is found by sending one row at a time; then somebody has to help.
                SendError::Refused { .. } => {
                    caution = caution.max(ledger.records_in_flight());
                    let pause = if alone { REFUSED_PAUSE } else { SHORTEST_PAUSE };
                    (Phase::Stopped(failure.to_string()), pause)
                }
                SendError::Unknown { .. } => {
                    (Phase::Retrying(failure.to_string()), backoff.pause(began.elapsed()))
                }
            };
            self.status.enter(phase);
            ledger = Ledger::resume(ledger.acknowledged().clone());
            led.database.end_snapshot().await?;
            let _stopped = timeout(pause, shutdown.requested()).await;
            led.database.last_value().await?;
        }
    }

    async fn read_progress(&self) -> Result<Records, SourceError> {
        let (kafka, topic, name) =
            (self.kafka.clone(), self.progress_topic.clone(), self.name.clone());
        let read =
            tokio::task::spawn_blocking(move || progress_topic::read(&kafka, &topic, &name));
        match read.await {
            Ok(progress) => Ok(progress?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Writes a progress record that tells of nothing, so that a crash after the epoch is marked is no discontinuity.
    async fn first_start(
        &self,
        identity: &Identity,
        records: &mut Records,
    ) -> Result<Position, SourceError> {
        let producer = Producer::new(&self.kafka, self.metrics.clone())?;
        let position = Position::default();
        let progress = Progress {
            identity: identity.clone(),
            position: position.clone(),
            parked: Parked::default(),
        };
        let written = progress.encode(&self.name);
        let changed = changes(&self.name, records, &written);
        for (key, value) in &changed {
            producer.send_progress(&self.progress_topic, key, *value).map_err(LeadError::from)?;
        }
        let mut missing = changed.len();
        let acknowledged = timeout(FIRST_PROGRESS_TIMEOUT, async {
            loop {
                let reports = producer.reports();
                if let Some(failure) = reports.failure {
                    return Err(LeadError::from(failure));
                }
                missing -= reports.progress;
                if missing == 0 {
                    return Ok(());
                }
                let _news = timeout(Duration::from_millis(100), producer.news()).await;
            }
        })
        .await;
        let last_error = producer.last_error().unwrap_or_default();
        abandon(producer).await;
        acknowledged.map_err(|_| SourceError::FirstProgress(last_error))??;
        *records = written;
        Ok(position)
    }
}

/// Drops a producer where blocking is allowed.
async fn abandon(producer: Producer) {
    if tokio::task::spawn_blocking(move || producer.abandon()).await.is_err() {
        sleep(Duration::ZERO).await;
    }
}

/// An error and its causes in one sentence.
fn chain(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !sentence.ends_with(&inner_text) {
            sentence = format!("{sentence}: {inner_text}");
        }
        cause = inner.source();
    }
    sentence
}
