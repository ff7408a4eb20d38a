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
mod work;

use std::future::Future;

use rdkafka::error::KafkaError;
use runtime::Shutdown;
use sqlx::{PgConnection, PgPool};
use tracing::info;

pub use self::{
    options::{ConsumerOptions, consumer_setting},
    status::ConsumerStatus,
};
use self::{subscription::Subscription, work::Work};
use crate::{ConsumerMetrics, HandleError, Record, dead_letters::DeadLetters};

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
        let Self { options, handler, .. } = &self;
        let topics = handler.topics();
        let dead_letters = DeadLetters::new(&options.brokers, &options.group);
        let subscription =
            Subscription::open(options, topics, self.metrics.clone(), self.status.clone());
        info!(group = options.group, ?topics, "consuming");
        let mut work = Work::new(
            self,
            dead_letters.map_err(ConsumerError::Client)?,
            subscription.map_err(ConsumerError::Client)?,
        );
        let result = work.run(&shutdown).await;
        work.close().await;
        result
    }
}
