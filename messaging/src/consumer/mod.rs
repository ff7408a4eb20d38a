//! The consumer: hands each record to the service's [`Handler`] once, in a transaction, and moves the offset after it.
//!
//! What comes in at once is one batch and one transaction ([`batch`]); records that can never be handled are parked after
//! its commit; then the offsets move. Whatever fails for reasons that are not a record's fault is tried again without end:
//! the partitions are paused, Kafka is still polled so that the group keeps this member, and nothing is skipped.
//!
//! Rebalancing happens only while Kafka is polled, and that is never while a batch is in work. Records of partitions that
//! were taken away are dropped from what waits; whoever has them now reads them from the last offset.

mod batch;
mod options;
mod status;
mod subscription;

use std::{collections::VecDeque, future::Future, time::Duration};

use rdkafka::error::KafkaError;
use runtime::Shutdown;
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use self::{
    batch::{Batch, BatchError, Item, State},
    subscription::Subscription,
};
pub use self::{options::ConsumerOptions, status::ConsumerStatus};
use crate::{
    ConsumerMetrics, HandleError, Record,
    dead_letters::DeadLetters,
    failure::{self, BoxError, Class},
    metrics::Outcome,
};

/// How often an idle consumer looks after its offsets and its status.
const TICK: Duration = Duration::from_secs(1);

/// What a service does with the records of its topics.
pub trait Handler: Send + Sync + 'static {
    /// The topics it reads.
    fn topics(&self) -> &'static [&'static str];

    /// Handles one record in the consumer's transaction, behind a savepoint, at most once per event id. It must not
    /// begin or commit, and nothing slow or remote belongs in it.
    fn handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> impl Future<Output = Result<(), HandleError>> + Send;

    /// Told after the commit which records the transaction covered, those that had been handled before included: the
    /// process may have ended between a commit and this call. It must not fail.
    fn committed(&self, records: &[&Record]) {
        let _ = records;
    }
}

/// Why the consumer ended: only for reasons that a restart or an operator cures.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The client could not be made: a wrong setting.
    #[error("the kafka client could not be made")]
    Client(#[source] KafkaError),
    /// Kafka told this client that it can never go on.
    #[error("the kafka client cannot go on")]
    Fatal(#[source] KafkaError),
}

/// Why the front of the queue was not settled; it will be tried again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the records cannot be handled now")]
    Handling(#[source] BoxError),
    #[error("the dead letter cannot be written now")]
    Parking(#[source] KafkaError),
}

/// Reads a group's topics and hands their records to a handler.
pub struct Consumer<H> {
    options: ConsumerOptions,
    pool: PgPool,
    handler: H,
    metrics: ConsumerMetrics,
    status: ConsumerStatus,
}

impl<H: Handler> Consumer<H> {
    /// Makes a consumer; [`run`](Self::run) starts it.
    #[must_use]
    pub fn new(
        options: ConsumerOptions,
        pool: PgPool,
        handler: H,
        metrics: ConsumerMetrics,
    ) -> Self {
        Self { options, pool, handler, status: ConsumerStatus::default(), metrics }
    }

    /// How the consumer is doing, for `/livez`.
    #[must_use]
    pub fn status(&self) -> ConsumerStatus {
        self.status.clone()
    }

    /// Consumes until `shutdown`, finishing the transaction in work. Kafka or the database being down is waited out.
    ///
    /// # Errors
    /// [`ConsumerError`]: a wrong setting, or Kafka's fatal word.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ConsumerError> {
        let Self { options, pool, handler, metrics, status } = self;
        let dead_letters =
            DeadLetters::new(&options.brokers, &options.group).map_err(ConsumerError::Client)?;
        let subscription =
            Subscription::open(&options, handler.topics(), metrics.clone(), status.clone())
                .map_err(ConsumerError::Client)?;
        info!(group = options.group, topics = ?handler.topics(), "consuming");
        let mut work = Loop {
            options,
            pool,
            handler,
            metrics,
            status,
            dead_letters,
            subscription,
            queue: VecDeque::new(),
            alone: 0,
        };
        let result = work.run(&shutdown).await;
        work.subscription.close().await;
        result
    }
}

struct Loop<H> {
    options: ConsumerOptions,
    pool: PgPool,
    handler: H,
    metrics: ConsumerMetrics,
    status: ConsumerStatus,
    dead_letters: DeadLetters,
    subscription: Subscription,
    /// What was read and is not settled, in the order of reading.
    queue: VecDeque<Item>,
    /// How many records at the front are to be tried one in a transaction.
    alone: usize,
}

impl<H: Handler> Loop<H> {
    async fn run(&mut self, shutdown: &Shutdown) -> Result<(), ConsumerError> {
        let mut backoff = self.options.backoff_min;
        while !shutdown.is_requested() {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                result = self.fill() => result?,
            }
            let settled = self.settle().await;
            match settled {
                Ok(()) => {
                    if self.status.flowing() {
                        info!("records flow again");
                        self.subscription.resume();
                    }
                    self.metrics.stuck(0);
                    backoff = self.options.backoff_min;
                }
                Err(trouble) => {
                    self.report(&trouble);
                    tokio::select! {
                        biased;
                        () = shutdown.requested() => return Ok(()),
                        result = self.keep_membership(backoff) => result?,
                    }
                    backoff = (backoff * 2).min(self.options.backoff_max);
                }
            }
        }
        Ok(())
    }

    fn report(&self, trouble: &Trouble) {
        let error = failure::chain(trouble);
        let stuck = self.status.stuck(&error);
        self.metrics.stuck(stuck.as_secs());
        self.metrics.retried();
        warn!(error, stuck_seconds = stuck.as_secs(), "records not settled, trying again");
    }

    /// Waits for a record if none is left, then takes what else is there, up to a batch.
    async fn fill(&mut self) -> Result<(), ConsumerError> {
        if self.queue.is_empty()
            && let Ok(read) = timeout(TICK, self.subscription.next()).await
        {
            self.take(read)?;
        }
        while self.queue.len() < self.options.batch_records {
            let Some(read) = self.subscription.available() else { break };
            self.take(read)?;
        }
        self.drop_revoked();
        self.subscription.commit_again();
        Ok(())
    }

    /// Polls for `pause` with all partitions paused; what still comes, from partitions just assigned, queues up.
    async fn keep_membership(&mut self, pause: Duration) -> Result<(), ConsumerError> {
        let until = Instant::now() + pause;
        self.subscription.pause();
        while let Ok(read) = timeout_at(until, self.subscription.next()).await {
            self.take(read)?;
            self.subscription.pause();
        }
        self.drop_revoked();
        Ok(())
    }

    fn take(&mut self, read: Result<Record, KafkaError>) -> Result<(), ConsumerError> {
        self.drop_revoked();
        match read {
            Ok(record) => self.queue.push_back(Item::new(record)),
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                return Err(ConsumerError::Fatal(error));
            }
            Err(error) => warn!(error = failure::chain(&error), "kafka is not read"),
        }
        Ok(())
    }

    fn drop_revoked(&mut self) {
        let revoked = self.subscription.take_revoked();
        if !revoked.is_empty() {
            self.queue.retain(|item| !revoked.iter().any(|gone| gone.holds(&item.record)));
            debug!(partitions = revoked.len(), "partitions were taken away");
        }
    }

    /// Settles everything in the queue: commit, park, then move the offsets.
    async fn settle(&mut self) -> Result<(), Trouble> {
        while !self.queue.is_empty() {
            if self.front() == 0 {
                self.handle().await?;
            }
            let settled = self.front();
            self.park(settled).await?;
            self.subscription.commit(self.queue.iter().take(settled));
            for item in self.queue.drain(..settled) {
                self.metrics.settled(&item.record.topic, item.state.outcome());
            }
        }
        Ok(())
    }

    /// How many items at the front are through their transaction.
    fn front(&self) -> usize {
        self.queue.iter().take_while(|item| !matches!(item.state, State::Waiting)).count()
    }

    /// Runs one transaction over the front of the queue. On anything but the records' own fault, they go one a
    /// transaction, so that the culprit holds up only itself and what comes after it.
    async fn handle(&mut self) -> Result<(), Trouble> {
        let alone = self.alone > 0;
        let records = if alone { 1 } else { self.options.batch_records };
        let batch = Batch {
            pool: &self.pool,
            handler: &self.handler,
            group: &self.options.group,
            alone: alone || self.queue.len() == 1,
            time: self.options.batch_time,
        };
        let size = records.min(self.queue.len());
        let items = &mut self.queue.make_contiguous()[..size];
        let attempt = timeout(self.options.attempt_timeout, batch.run(items)).await;
        match attempt
            .unwrap_or_else(|elapsed| Err(BatchError::Record(HandleError::Retry(elapsed.into()))))
        {
            Ok(()) => {
                self.alone = self.alone.saturating_sub(1);
                Ok(())
            }
            Err(BatchError::Record(error)) if size > 1 => {
                debug!(error = failure::chain(&error), "batch rolled back, its records go alone");
                self.alone = size;
                Ok(())
            }
            Err(BatchError::Record(error)) => Err(Trouble::Handling(error.into())),
            Err(BatchError::Transaction(error)) => Err(Trouble::Handling(error)),
        }
    }

    /// Parks the rejected among the first `settled` items.
    async fn park(&mut self, settled: usize) -> Result<(), Trouble> {
        for item in self.queue.iter_mut().take(settled) {
            let State::Rejected(rejection) = &item.state else { continue };
            self.dead_letters
                .park(&item.record, rejection, item.attempts)
                .await
                .map_err(Trouble::Parking)?;
            warn!(
                topic = item.record.topic,
                partition = item.record.partition,
                offset = item.record.offset,
                event.id = ?item.record.event_id(),
                reason = rejection.reason,
                error = rejection.error,
                "record parked as a dead letter"
            );
            self.metrics.parked(&item.record.topic);
            item.state = State::Parked;
        }
        Ok(())
    }
}

impl State {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Waiting | Self::Handled => Outcome::Handled,
            Self::Repeated => Outcome::Repeated,
            Self::Rejected(_) | Self::Parked => Outcome::Rejected,
        }
    }
}

impl Class {
    /// Whether the record itself is to blame, given that it was tried alone or not.
    fn blames_the_record(self, alone: bool) -> bool {
        match self {
            Self::Permanent => true,
            Self::Suspect => alone,
            Self::Contention | Self::Transient => false,
        }
    }
}
