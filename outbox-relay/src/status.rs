//! What a source is doing, and whether that is progress: its part of the body of `/readyz`.
//!
//! A leader is ready while it reads the table and Kafka acknowledges; a standby while it can take over. An open gap is no stall.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::core::ledger::Ledger;
use crate::metrics::{SourceMetrics, seconds_since};

/// Without progress for so long, a leader is not ready.
const STALLED: Duration = Duration::from_secs(5);

/// What a source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It connects and reads its progress.
    Starting,
    /// Another relay leads; this one takes over when that one ends.
    Standby,
    /// It publishes.
    Leading,
    /// Something failed, and is tried again by itself.
    Retrying(String),
    /// Somebody has to do something; it is tried again now and then.
    Stopped(String),
}

/// How far everything is on Kafka for good, and what is not yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    /// The number up to which nothing is missing there.
    pub(crate) watermark: i64,
    /// Records sent, and not acknowledged, or not committed.
    pub(crate) in_flight: usize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// When the database last answered.
    looked_at: Instant,
    looking: bool,
    /// Since when a transaction is being committed.
    committing_since: Option<Instant>,
    /// When Kafka last acknowledged something, or had nothing to acknowledge.
    acknowledged_at: Instant,
    in_flight: usize,
    kafka_error: Option<String>,
    head: i64,
    watermark: i64,
    gaps: usize,
    capped: bool,
    parked: usize,
    blocking: Vec<String>,
    partition_trouble: Option<String>,
    /// What is read, and why it is not what was asked for.
    feed: Option<String>,
    partitions_run_out: bool,
}

/// One source's state, written by its task and read by the admin server.
#[derive(Debug)]
pub(crate) struct Status {
    name: String,
    metrics: SourceMetrics,
    state: Mutex<State>,
}

impl Status {
    /// The status of a source that is about to start.
    pub(crate) fn new(name: &str, metrics: SourceMetrics) -> Self {
        let now = Instant::now();
        let state = State {
            phase: Phase::Starting,
            since: now,
            looked_at: now,
            looking: false,
            committing_since: None,
            acknowledged_at: now,
            in_flight: 0,
            kafka_error: None,
            head: 0,
            watermark: 0,
            gaps: 0,
            capped: false,
            parked: 0,
            blocking: Vec::new(),
            partition_trouble: None,
            feed: None,
            partitions_run_out: false,
        };
        Self { name: name.to_owned(), metrics, state: Mutex::new(state) }
    }

    /// The source does something else now.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase != phase {
            tracing::info!(source = self.name, phase = ?phase, "the source changes its phase");
            self.metrics.leader.set(i64::from(phase == Phase::Leading));
            if phase == Phase::Standby {
                self.metrics.rows_waiting.set(0);
                self.metrics.open_gaps.set(0);
                self.metrics.parked.set(0);
                self.metrics.oldest_age.set(0.0);
                self.metrics.feed_wal.set(0);
                state.feed = None;
                // The leader sees to them.
                state.partition_trouble = None;
            }
            let now = Instant::now();
            (state.since, state.looked_at, state.acknowledged_at) = (now, now, now);
            state.looking = false;
            state.committing_since = None;
            state.phase = phase;
        }
    }

    /// The table is about to be looked at.
    pub(crate) fn looking(&self) {
        self.lock().looking = true;
    }

    /// A transaction is about to be committed.
    pub(crate) fn committing(&self) {
        self.lock().committing_since = Some(Instant::now());
    }

    /// It is committed.
    pub(crate) fn committed(&self) {
        self.lock().committing_since = None;
    }

    /// The database has answered while there was nothing to look for.
    pub(crate) fn alive(&self) {
        self.lock().looked_at = Instant::now();
    }

    /// The table has been looked at; `last_value` is the sequence's where there was more than a page, else 0.
    pub(crate) fn looked(&self, ledger: &Ledger, settled: Settled, last_value: i64, capped: bool) {
        let position = ledger.reading();
        let behind = last_value.saturating_sub(position.head()).max(0);
        let in_flight = i64::try_from(settled.in_flight).unwrap_or(i64::MAX);
        self.metrics.rows_waiting.set(behind.saturating_add(in_flight));
        self.metrics.open_gaps.set(i64::try_from(position.gaps().len()).unwrap_or(i64::MAX));
        self.metrics.parked.set(i64::try_from(ledger.parked().len()).unwrap_or(i64::MAX));
        let mut state = self.lock();
        state.looked_at = Instant::now();
        state.looking = false;
        state.head = position.head();
        state.watermark = settled.watermark;
        state.in_flight = settled.in_flight;
        state.gaps = position.gaps().len();
        state.capped = capped;
        state.parked = ledger.parked().len();
        state.blocking = if state.gaps > 0 { ledger.blocking() } else { Vec::new() };
    }

    /// Kafka has been asked for news.
    pub(crate) fn acknowledged(
        &self,
        ledger: &Ledger,
        settled: Settled,
        kafka_error: Option<String>,
    ) {
        self.metrics.oldest_age.set(ledger.oldest_in_flight_ms().map_or(0.0, seconds_since));
        let mut state = self.lock();
        if settled.in_flight == 0 || settled.in_flight < state.in_flight {
            state.acknowledged_at = Instant::now();
        }
        state.watermark = settled.watermark;
        state.in_flight = settled.in_flight;
        state.kafka_error = kafka_error;
    }

    /// What is wrong with the partitions, and whether there are so few ahead that somebody has to help.
    pub(crate) fn partitions(&self, trouble: Option<String>, run_out: bool) {
        let mut state = self.lock();
        state.partition_trouble = trouble;
        state.partitions_run_out = run_out;
    }

    /// What is read: `wal`, `table`, or `table (why not the WAL)`.
    pub(crate) fn feed(&self, feed: &str) {
        self.metrics.feed_wal.set(i64::from(feed == "wal"));
        let mut state = self.lock();
        if state.feed.as_deref() != Some(feed) {
            tracing::info!(source = self.name, feed, "the source changes its feed");
            state.feed = Some(feed.to_owned());
        }
    }

    /// Whether the source makes progress, and what there is to say of it.
    pub(crate) fn report(&self) -> (bool, Value) {
        let state = self.lock();
        let stalled = reason(&state);
        let body = json!({
            "state": match &state.phase {
                Phase::Starting => "starting",
                Phase::Standby => "standby",
                Phase::Leading => "leader",
                Phase::Retrying(_) => "retrying",
                Phase::Stopped(_) => "stopped",
            },
            "ready": stalled.is_none(),
            "reason": stalled,
            "since_seconds": state.since.elapsed().as_secs(),
            "head": state.head,
            "watermark": state.watermark,
            "in_flight": state.in_flight,
            "open_gaps": state.gaps,
            "parked_keys": state.parked,
            "oldest_gap_held_by": state.blocking,
            "feed": state.feed,
            "partitions": state.partition_trouble,
        });
        (stalled.is_none(), body)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the source is not ready, if it is not.
fn reason(state: &State) -> Option<String> {
    match &state.phase {
        Phase::Starting => Some(match &state.kafka_error {
            Some(error) => format!("starting ({error})"),
            None => "starting".to_owned(),
        }),
        Phase::Standby => None,
        Phase::Retrying(reason) | Phase::Stopped(reason) => Some(reason.clone()),
        Phase::Leading => stall(state),
    }
}

fn stall(state: &State) -> Option<String> {
    let unread = state.looked_at.elapsed();
    let unacknowledged = state.acknowledged_at.elapsed();
    if state.looking && unread > STALLED {
        return Some(format!("the database has not answered for {} s", unread.as_secs()));
    }
    let committing = state.committing_since.map(|since| since.elapsed());
    if let Some(committing) = committing.filter(|time| *time > STALLED) {
        let error = state.kafka_error.as_deref().unwrap_or("no error reported");
        return Some(format!(
            "kafka has not committed a transaction for {} s ({error})",
            committing.as_secs()
        ));
    }
    if state.in_flight > 0 && unacknowledged > STALLED {
        let error = state.kafka_error.as_deref().unwrap_or("no error reported");
        return Some(format!(
            "kafka has acknowledged none of {} records for {} s ({error})",
            state.in_flight,
            unacknowledged.as_secs()
        ));
    }
    if state.capped {
        return Some(format!(
            "{} runs of numbers are open and nothing is read ahead; held by {}",
            state.gaps,
            state.blocking.join(", ")
        ));
    }
    state.partition_trouble.clone().filter(|_| state.partitions_run_out)
}
