//! One transaction for several records, each behind its own savepoint.

use std::time::{Duration, Instant};

use runtime::{
    fail_points::{self, Injected, road},
    trace,
};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};
use tracing::{Instrument, Span, field, info_span};

use super::Handler;
use crate::{
    HandleError, Record,
    dead_letters::Rejection,
    failure::{self, BoxError, Class},
    inbox,
    metrics::Outcome,
};

/// A record on its way.
pub(super) struct Item {
    pub(super) record: Record,
    pub(super) state: State,
    /// How often it was tried.
    pub(super) attempts: u32,
}

/// How far a record has come.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Not handled.
    Waiting,
    /// Handled, and that is committed.
    Handled,
    /// Found in the inbox.
    Repeated,
    /// Can never be handled; to be parked.
    Rejected(Rejection),
    /// Parked, and that is acknowledged.
    Parked,
}

impl Item {
    pub(super) fn new(record: Record) -> Self {
        Self { record, state: State::Waiting, attempts: 0 }
    }
}

impl State {
    /// How a settled record is counted.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Waiting | Self::Handled => Outcome::Handled,
            Self::Repeated => Outcome::Repeated,
            Self::Rejected(_) | Self::Parked => Outcome::Rejected,
        }
    }
}

/// Why nothing was committed, or nobody knows whether it was.
#[derive(Debug)]
pub(super) enum BatchError {
    /// A record failed.
    Record(HandleError),
    /// The transaction did: begin, commit or the clock. After a commit whose outcome is unknown the inbox decides.
    Transaction(BoxError),
}

/// The transaction failed on purpose, before or after its commit.
impl From<Injected> for BatchError {
    fn from(injected: Injected) -> Self {
        Self::Transaction(injected.into())
    }
}

/// One attempt at a transaction.
pub(super) struct Batch<'a, H> {
    pub(super) pool: &'a PgPool,
    pub(super) handler: &'a H,
    pub(super) group: &'a str,
    /// Whether a record's failure is its own, since it does not share its transaction.
    pub(super) alone: bool,
    pub(super) time: Duration,
}

impl<H: Handler> Batch<'_, H> {
    /// Handles the first of `items`, as many as the time allows, commits, and notes what became of each.
    pub(super) async fn run(&self, items: &mut [Item]) -> Result<(), BatchError> {
        let started = Instant::now();
        let begun = runtime::postgres::begin(self.pool).await;
        let mut transaction = begun.map_err(|error| BatchError::Transaction(error.into()))?;
        let mut states = Vec::with_capacity(items.len());
        for item in items.iter_mut() {
            item.attempts = item.attempts.saturating_add(1);
            states
                .push(self.one(&mut transaction, &item.record).await.map_err(BatchError::Record)?);
            if started.elapsed() >= self.time {
                break;
            }
        }
        fail_points::pass(road::CONSUMER_HANDLED).await?;
        transaction.commit().await.map_err(|error| match failure::classify(&error) {
            Class::Contention => BatchError::Record(error.into()),
            Class::Transient | Class::Suspect | Class::Permanent => {
                BatchError::Transaction(error.into())
            }
        })?;
        fail_points::pass(road::CONSUMER_COMMITTED).await?;
        for (item, state) in items.iter_mut().zip(states) {
            item.state = state;
        }
        self.announce(items);
        Ok(())
    }

    fn announce(&self, items: &[Item]) {
        let committed: Vec<&Record> = items
            .iter()
            .filter(|item| matches!(item.state, State::Handled | State::Repeated))
            .map(|item| &item.record)
            .collect();
        if !committed.is_empty() {
            self.handler.committed(&committed);
        }
    }

    /// Handles one record behind its savepoint. A record at fault leaves no trace in the transaction.
    async fn one(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        record: &Record,
    ) -> Result<State, HandleError> {
        let span = self.span(record);
        async {
            let mut savepoint = transaction.begin().await?;
            let outcome = match self.remember_and_handle(&mut savepoint, record).await {
                // A handler that went on after a failed statement is found out here.
                Ok(state) => savepoint.commit().await.map(|()| state).map_err(HandleError::from),
                Err(error) => savepoint.rollback().await.map_err(HandleError::from).and(Err(error)),
            };
            match outcome {
                Err(error) if error.class().blames_the_record(self.alone) => {
                    Ok(State::Rejected(Rejection::from(&error)))
                }
                outcome => outcome,
            }
        }
        .instrument(span)
        .await
    }

    async fn remember_and_handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> Result<State, HandleError> {
        let event_id = record.event_id().ok_or(HandleError::NoEventId)?;
        if !inbox::remember(connection, event_id).await? {
            return Ok(State::Repeated);
        }
        let remembered = fail_points::pass(road::CONSUMER_REMEMBERED).await;
        remembered.map_err(|injected| HandleError::Retry(injected.into()))?;
        self.handler.handle(connection, record).await?;
        Ok(State::Handled)
    }

    /// The span of one record, which continues the record's trace.
    fn span(&self, record: &Record) -> Span {
        let span = info_span!(
            "process",
            otel.name = format!("process {}", record.topic),
            otel.kind = "consumer",
            messaging.system = "kafka",
            messaging.operation.type = "process",
            messaging.operation.name = "process",
            messaging.destination.name = record.topic,
            messaging.destination.partition.id = record.partition,
            messaging.kafka.offset = record.offset,
            messaging.kafka.message.key = record.key(),
            messaging.consumer.group.name = self.group,
            messaging.message.id = field::Empty,
            event.r#type = record.event_type(),
        );
        if let Some(event_id) = record.event_id() {
            span.record("messaging.message.id", field::display(event_id));
        }
        trace::set_parent(&span, &record.trace());
        span
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
