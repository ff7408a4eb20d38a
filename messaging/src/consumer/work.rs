//! The consumer at work: read, settle, and wait out what fails.

use std::{collections::VecDeque, time::Duration};

use rdkafka::error::KafkaError;
use runtime::{
    Shutdown,
    fail_points::{self, Injected, road},
};
use sqlx::PgPool;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::{
    Consumer, ConsumerError, ConsumerOptions, ConsumerStatus, Handler,
    batch::{Batch, BatchError, Item, State},
    subscription::Subscription,
};
use crate::{
    ConsumerMetrics, HandleError, Record, client, dead_letters::DeadLetters, failure::BoxError,
};

/// How often an idle consumer looks after its offsets and its status.
const TICK: Duration = Duration::from_secs(1);

/// Why the front of the queue was not settled; it will be tried again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the records cannot be handled now")]
    Handling(#[source] BoxError),
    #[error("the dead letter cannot be written now")]
    Parking(#[source] KafkaError),
    #[error("the records fail on purpose")]
    Injected(#[from] Injected),
}

/// The consumer at work: a queue between Kafka and the database.
pub(super) struct Work<H> {
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

impl<H: Handler> Work<H> {
    pub(super) fn new(
        consumer: Consumer<H>,
        dead_letters: DeadLetters,
        subscription: Subscription,
    ) -> Self {
        let Consumer { options, pool, handler, metrics, status } = consumer;
        let queue = VecDeque::new();
        Self {
            options,
            pool,
            handler,
            metrics,
            status,
            dead_letters,
            subscription,
            queue,
            alone: 0,
        }
    }

    /// Leaves the group.
    pub(super) async fn close(self) {
        self.subscription.close().await;
    }

    pub(super) async fn run(&mut self, shutdown: &Shutdown) -> Result<(), ConsumerError> {
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
        let error = runtime::with_causes(trouble);
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
            Err(error) if client::is_unreachable(&error) => {
                debug!(error = runtime::with_causes(&error), "kafka is not read");
            }
            Err(error) => warn!(error = runtime::with_causes(&error), "kafka is not read"),
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
                fail_points::pass(road::CONSUMER_RECEIVED).await?;
                self.handle().await?;
            }
            let settled = self.front();
            self.park(settled).await?;
            self.subscription.commit(self.queue.iter().take(settled));
            fail_points::pass(road::CONSUMER_MOVED).await?;
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
                debug!(
                    error = runtime::with_causes(&error),
                    "batch rolled back, its records go alone"
                );
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
            fail_points::pass(road::CONSUMER_PARKING).await?;
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
            fail_points::pass(road::CONSUMER_PARKED).await?;
        }
        Ok(())
    }
}
