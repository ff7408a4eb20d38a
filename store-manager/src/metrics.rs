//! What store-manager counts: sagas, by how they end and how long they take, and those that do not move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messaging::Record;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use prost::Name as _;
use proto::{
    OrderId,
    store::orders::events::v1::{
        OrderEvent, SagaCompleted, order_event::Event, saga_completed::Outcome,
    },
};
use runtime::metrics::Registry;

const STARTED: &str = "sagas_started";
const FINISHED: &str = "sagas_finished";
const DURATION: &str = "saga_duration_seconds";
const IN_FLIGHT: &str = "sagas_in_flight";
const STUCK: &str = "sagas_stuck";
const NEEDS_ATTENTION: &str = "orders_needing_attention";

const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Ended {
    Succeeded,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Ended,
}

/// The metrics; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    started: Counter,
    finished: Family<Labels, Counter>,
    duration: Histogram,
    in_flight: Gauge,
    stuck: Gauge,
    needs_attention: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: Counter::default(),
            finished: Family::default(),
            duration: Histogram::new(BUCKETS),
            in_flight: Gauge::default(),
            stuck: Gauge::default(),
            needs_attention: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Makes the metrics known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(STARTED, "Sagas started by this process", metrics.started.clone());
        registry.register(
            FINISHED,
            "Sagas whose end this process has read, by outcome",
            metrics.finished.clone(),
        );
        registry.register(
            DURATION,
            "From an order's id to the end of its saga",
            metrics.duration.clone(),
        );
        registry.register(
            IN_FLIGHT,
            "Sagas under way in the database, of all processes",
            metrics.in_flight.clone(),
        );
        registry.register(
            STUCK,
            "Sagas under way that have not moved for long",
            metrics.stuck.clone(),
        );
        registry.register(
            NEEDS_ATTENTION,
            "Orders whose stock could not be given back",
            metrics.needs_attention.clone(),
        );
        metrics
    }

    pub(crate) fn saga_started(&self) {
        self.started.inc();
    }

    pub(crate) fn swept(&self, in_flight: i64, stuck: i64, needs_attention: i64) {
        self.in_flight.set(in_flight);
        self.stuck.set(stuck);
        self.needs_attention.set(needs_attention);
    }

    /// Counts the end of a saga, if this record is one.
    pub(crate) fn observe(&self, record: &Record) {
        if record.event_type() != Some(SagaCompleted::full_name().as_str()) {
            return;
        }
        let Ok(OrderEvent { event: Some(Event::SagaCompleted(completed)) }) = record.decode()
        else {
            return;
        };
        let outcome = match completed.outcome() {
            Outcome::Succeeded => Ended::Succeeded,
            Outcome::Failed | Outcome::Unspecified => Ended::Failed,
        };
        self.finished.get_or_create(&Labels { outcome }).inc();
        if let Some(age) = completed.order_id.parse().ok().and_then(age) {
            self.duration.observe(age.as_secs_f64());
        }
    }
}

/// How long ago an order's id was made, which it tells itself.
fn age(order_id: OrderId) -> Option<Duration> {
    let (seconds, nanos) = order_id.0.get_timestamp()?.to_unix();
    let made = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))?;
    Some(SystemTime::now().duration_since(made).unwrap_or_default())
}
