//! One source: a database with an outbox table. Its task leads while it holds the source's lock, stands by while another does,
//! and starts over with growing pauses whatever fails, without touching the other sources.

pub(crate) mod client;
pub(crate) mod connecting;
pub(crate) mod database;
pub(crate) mod destinations;
mod dispatch;
pub(crate) mod identity;
mod keeping;
mod leader;
mod look;
mod native;
pub(crate) mod partitions;
pub(crate) mod producer;
pub(crate) mod progress_topic;
pub(crate) mod record;
mod release;
pub(crate) mod requirements;
pub(crate) mod row;
mod served;
pub(crate) mod trace;
mod wakeup;
pub(crate) mod wal;

use std::sync::Arc;
use std::time::Duration;

use runtime::{
    Shutdown,
    fail_points::{self, road},
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::blocking::blocking;
use crate::broker;
use uuid::Uuid;

use crate::core::caution::Caution;
use crate::core::leadership::Watch;
use crate::core::ledger::{Ledger, Reached};
use crate::core::progress::{Discontinuity, Identity, Progress, Records, Start, Term, start};
use crate::core::published::Published;
use crate::kafka::KafkaOptions;
use crate::metrics::SourceMetrics;
use crate::source::database::{Database, DatabaseError};
use crate::source::destinations::Destinations;
use crate::source::leader::{BEAT_EVERY, LeadError, Leader, State};
use crate::source::partitions::Partitions;
use crate::source::producer::{Delivery, Producer, Purpose, SendError};
use crate::source::progress_topic::ReadProgressError;
use crate::source::wakeup::Wakeup;
use crate::source::wal::{Feed, Follower, LeaveError};
use crate::status::{Phase, Status};

/// How often a standby tries to take over.
const STANDBY_POLL: Duration = Duration::from_millis(500);

/// The first pause after a failure; doubled up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
    /// Keys that may wait for an operator.
    pub(crate) parked_keys: usize,
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
    /// The host and process id of this relay.
    pub(crate) instance: String,
    pub(crate) kafka: KafkaOptions,
    pub(crate) delivery: Delivery,
    pub(crate) progress_topic: String,
    pub(crate) limits: Limits,
    pub(crate) partitions: Partitions,
    pub(crate) feed: Feed,
    /// What the progress on Kafka says, for the partitions.
    pub(crate) published: watch::Sender<Option<Published>>,
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
    #[error("kafka has not acknowledged the progress record within 10 s ({0})")]
    FirstProgress(String),
}

impl From<DatabaseError> for SourceError {
    fn from(error: DatabaseError) -> Self {
        Self::Lead(LeadError::Database(error))
    }
}

impl From<SendError> for SourceError {
    fn from(error: SendError) -> Self {
        Self::Lead(LeadError::Send(error))
    }
}

impl SourceError {
    /// Whether somebody has to do something before it can go on.
    fn needs_help(&self) -> bool {
        match self {
            Self::Discontinuity(_) | Self::Lead(LeadError::TooManyParked { .. }) => true,
            Self::Lead(LeadError::Database(error)) => match error {
                DatabaseError::Unfit(_) | DatabaseError::NoEpoch | DatabaseError::NoOutbox(_) => {
                    true
                }
                DatabaseError::Connect(_)
                | DatabaseError::Database(_)
                | DatabaseError::Timeout(_) => false,
            },
            Self::Lead(LeadError::Send(_) | LeadError::Injected(_))
            | Self::Progress(_)
            | Self::Producer(_)
            | Self::FirstProgress(_) => false,
        }
    }
}

/// A source that is led: the lock is held by this connection.
struct Led {
    database: Database,
    wakeup: Wakeup,
    follower: Follower,
    identity: Identity,
    /// Whether anything of this table has ever been published.
    published: bool,
    destinations: Destinations,
    caution: Caution,
}

/// Where a producer goes on.
struct Beginning {
    ledger: Ledger,
    /// Under whose name it keeps the progress.
    term: Term,
    /// What stands on the progress topic, or was on its way there.
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
            self.status.enter(if error.needs_help() {
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
        database.check_requirements().await?;
        if !self.stand_by(&mut database, shutdown).await? {
            return Ok(());
        }
        let (follower, keeper) = wal::pair(self.feed, url, &self.status)?;
        // What was known was said of the table that was led before.
        self.published.send_replace(None);
        let partitions =
            self.partitions.keep(url, &self.published, &self.status, &self.metrics.partitions);
        tokio::select! {
            led = self.lead(database, follower, shutdown) => led,
            never = Box::pin(keeper.keep(url, &self.status, &self.metrics)) => match never {},
            never = partitions => match never {},
        }
    }

    /// Waits until the lock is this relay's; a leader that holds it and is dead loses its connection. Answers false when asked to
    /// stop.
    async fn stand_by(
        &self,
        database: &mut Database,
        shutdown: &Shutdown,
    ) -> Result<bool, DatabaseError> {
        let mut watch = Watch::new();
        while !database.try_lead().await? {
            self.status.enter(Phase::Standby);
            if let Some(leader) = database.leader().await? {
                let (pid, instance) = (leader.pid, leader.instance.clone());
                if watch.is_stale(leader, std::time::Instant::now()) {
                    tracing::warn!(
                        source = self.name,
                        pid,
                        instance,
                        "the leader has not beaten for 8 s; its connection is ended"
                    );
                    database.terminate(pid).await?;
                }
            }
            if timeout(STANDBY_POLL, shutdown.requested()).await.is_ok() {
                return Ok(false);
            }
        }
        database.beat(&self.instance).await?;
        Ok(true)
    }

    /// Leads: from the progress on, with one producer after another.
    async fn lead(
        &self,
        mut database: Database,
        follower: Follower,
        shutdown: &Shutdown,
    ) -> Result<(), SourceError> {
        fail_points::pass(road::RELAY_LEADING).await.map_err(LeadError::from)?;
        database.check_requirements().await?;
        let wakeup = Wakeup::listen(self.url.expose_secret()).await?;
        let (identity, published) = database.identity().await?;
        let destinations = Destinations::new(&self.kafka)?;
        let caution = Caution::default();
        let mut led =
            Led { database, wakeup, follower, identity, published, destinations, caution };
        self.publish(&mut led, shutdown).await?;
        led.database.close().await?;
        Ok(())
    }

    /// Publishes until asked to stop, or until the lock is lost.
    async fn publish(&self, led: &mut Led, shutdown: &Shutdown) -> Result<(), SourceError> {
        let mut acknowledged = None;
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let producer = self.producer(led)?;
            let mut from = self.begin(led, &producer, acknowledged).await?;
            led.follower.begin(&from.ledger);
            let mut leader = Leader {
                source: self,
                identity: &led.identity,
                database: &mut led.database,
                wakeup: &mut led.wakeup,
                follower: &mut led.follower,
                producer: &producer,
                ledger: &mut from.ledger,
                term: from.term,
                records: &mut from.records,
                destinations: &mut led.destinations,
                caution: &mut led.caution,
                shutdown,
                state: State::default(),
            };
            let ended = introduced(&mut leader, &mut led.published).await;
            let in_doubt = match self.delivery {
                Delivery::AtLeastOnce => leader.ledger.records_in_flight(),
                Delivery::ExactlyOnce => leader.state.keeping.records_in_transaction(),
            };
            led.follower.leave(LeaveError::Sender);
            abandon(producer).await;
            let failure = match ended {
                Ok(()) => return Ok(()),
                Err(SourceError::Lead(LeadError::Send(failure))) => failure,
                Err(error) => return Err(error),
            };
            let reason = failure.to_string();
            tracing::error!(source = self.name, reason, "sending stopped; on from what is certain");
            self.status.enter(Phase::Retrying(reason));
            led.database.end_snapshot().await?;
            let pause = self.after(failure, led, in_doubt, || backoff.pause(began.elapsed())).await;
            acknowledged = Some(from);
            let _stopped = timeout(pause, shutdown.requested()).await;
            led.database.beat(&self.instance).await?;
        }
    }

    fn producer(&self, led: &Led) -> Result<Producer, SourceError> {
        let purpose = Purpose {
            delivery: self.delivery,
            source: &self.name,
            progress_topic: &self.progress_topic,
            batch_bytes: led.destinations.batch_bytes(),
        };
        Ok(Producer::new(&self.kafka, &purpose, self.metrics.clone())?)
    }

    /// Learns from a failure to send, and says how long to wait before the next producer.
    async fn after(
        &self,
        failure: SendError,
        led: &mut Led,
        in_doubt: usize,
        backoff: impl FnOnce() -> Duration,
    ) -> Duration {
        match failure {
            SendError::Refused { topic, reason, whole_topic: true, .. } => {
                led.destinations.refused(&topic, &reason);
                Duration::ZERO
            }
            SendError::Refused { event_id, topic, reason, whole_topic: false } => {
                led.destinations.renew(&topic).await;
                led.caution.refused(in_doubt, event_id, &reason);
                Duration::ZERO
            }
            SendError::Unknown { .. } => backoff(),
        }
    }

    /// Where a new producer goes on: exactly once, from what stands on Kafka once the former owner can commit nothing any more; at
    /// least once, from what was acknowledged.
    async fn begin(
        &self,
        led: &mut Led,
        producer: &Producer,
        former: Option<Beginning>,
    ) -> Result<Beginning, SourceError> {
        match (self.delivery, former) {
            (Delivery::AtLeastOnce, Some(former)) => {
                Ok(self.beginning(former.ledger.acknowledged().clone(), former.records))
            }
            (Delivery::AtLeastOnce, None) => self.recorded(led).await,
            (Delivery::ExactlyOnce, _) => {
                // Fencing only times out where Kafka is not reached; this says why.
                let reached = broker::ask(&self.kafka, Some(&self.progress_topic));
                beating(&mut led.database, &self.instance, reached)
                    .await?
                    .map_err(ReadProgressError::from)?;
                beating(&mut led.database, &self.instance, producer.fence()).await??;
                match self.recorded(led).await {
                    Err(SourceError::Progress(ReadProgressError::Undecided {
                        own: true, ..
                    })) => {
                        self.abort_what_hangs(led, producer).await?;
                        self.recorded(led).await
                    }
                    recorded => recorded,
                }
            }
        }
    }

    /// Ends what the fenced owner before has left undecided on the progress topic. It is aborted, whatever Kafka had decided: the progress
    /// then tells of less than was published and never of more.
    async fn abort_what_hangs(
        &self,
        led: &mut Led,
        producer: &Producer,
    ) -> Result<(), SourceError> {
        tracing::error!(
            source = self.name,
            topic = self.progress_topic,
            "a transaction of this source hangs in kafka, though its producer is fenced; it is aborted, and what it has published \
             may come twice"
        );
        let aborted = producer.abort_what_hangs(&self.progress_topic, self.name.as_bytes());
        Ok(beating(&mut led.database, &self.instance, aborted).await??)
    }

    /// Where the progress topic says to go on.
    async fn recorded(&self, led: &mut Led) -> Result<Beginning, SourceError> {
        let records = beating(&mut led.database, &self.instance, self.read_progress()).await??;
        let progress = Progress::decode(&self.name, &records).map_err(ReadProgressError::from)?;
        let last_value = led.database.last_value().await?;
        let reached = match start(progress, &led.identity, led.published, last_value)? {
            Start::From(reached) => reached,
            Start::First => Reached::default(),
        };
        tracing::info!(
            source = self.name,
            head = reached.position.head(),
            gaps = reached.position.gaps().len(),
            parked = reached.parked.len(),
            "leading"
        );
        Ok(self.beginning(reached, records))
    }

    /// All of the progress is written again under a new term: that it is acknowledged shows that Kafka takes it, and nothing that was on
    /// its way may come between.
    fn beginning(&self, reached: Reached, records: Records) -> Beginning {
        let term = Term::after(&self.name, &records, Uuid::now_v7());
        Beginning { ledger: Ledger::resume(reached), term, records }
    }

    async fn read_progress(&self) -> Result<Records, SourceError> {
        let (kafka, topic, name) =
            (self.kafka.clone(), self.progress_topic.clone(), self.name.clone());
        Ok(blocking(move || progress_topic::read(&kafka, &topic, &name)).await?)
    }
}

/// Leads, after the progress has been kept once: only then may the epoch be marked as published, so that a crash in between is no
/// discontinuity, and only then is anything published.
async fn introduced(leader: &mut Leader<'_>, published: &mut bool) -> Result<(), SourceError> {
    let Ok(kept) = timeout(FIRST_PROGRESS_TIMEOUT, leader.settle()).await else {
        return Err(SourceError::FirstProgress(leader.producer.last_error().unwrap_or_default()));
    };
    kept?;
    if !*published {
        leader.database.mark_published().await?;
        *published = true;
    }
    Ok(leader.lead().await?)
}

/// Does `work` while the leader says that it is alive.
async fn beating<T>(
    database: &mut Database,
    instance: &str,
    work: impl Future<Output = T>,
) -> Result<T, DatabaseError> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = sleep(BEAT_EVERY) => {
                database.beat(instance).await?;
            }
        }
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
