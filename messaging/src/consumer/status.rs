//! How the consumer is doing: the detail that `/livez` shows.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How a consumer is doing; clones look at the same consumer.
#[derive(Clone, Debug, Default)]
pub struct ConsumerStatus(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    stuck: Option<Stuck>,
    connected: bool,
    partitions: usize,
    lag: i64,
}

#[derive(Debug)]
struct Stuck {
    since: Instant,
    error: String,
}

impl ConsumerStatus {
    /// The detail for `/livez`: whether records flow, since when not and why, whether Kafka is reached, how many
    /// partitions this process has and how many of their records wait.
    #[must_use]
    pub fn report(&self) -> Value {
        let inner = self.inner();
        let state = match (&inner.stuck, inner.connected) {
            (Some(_), _) => "stuck",
            (None, false) => "disconnected",
            (None, true) => "flowing",
        };
        json!({
            "state": state,
            "stuck_seconds": inner.stuck.as_ref().map_or(0, |stuck| stuck.since.elapsed().as_secs()),
            "error": inner.stuck.as_ref().map(|stuck| &stuck.error),
            "kafka_connected": inner.connected,
            "assigned_partitions": inner.partitions,
            "lag_records": inner.lag,
        })
    }

    /// Whether records are tried again and again in vain.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.inner().stuck.is_some()
    }

    /// Notes that records flow; answers whether they did not before.
    pub(super) fn flowing(&self) -> bool {
        self.inner().stuck.take().is_some()
    }

    /// Notes a failed attempt; answers for how long they have failed.
    pub(super) fn stuck(&self, error: &str) -> Duration {
        let mut inner = self.inner();
        let since = inner.stuck.as_ref().map_or_else(Instant::now, |stuck| stuck.since);
        inner.stuck = Some(Stuck { since, error: error.to_owned() });
        since.elapsed()
    }

    pub(super) fn connected(&self, connected: bool) {
        self.inner().connected = connected;
    }

    pub(super) fn assigned(&self, partitions: usize) {
        self.inner().partitions = partitions;
    }

    pub(super) fn lag(&self, records: i64) {
        self.inner().lag = records;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
