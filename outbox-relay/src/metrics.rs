//! What the relay counts, per source. Names and labels are here and nowhere else.

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the commit-to-acknowledged delay, in seconds.
const DELAY_BUCKETS: [f64; 14] =
    [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

/// The metric families of all sources.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    rows_waiting: Family<SourceLabel, Gauge>,
    oldest_age: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    published: Family<SourceLabel, Counter>,
    failed: Family<SourceLabel, Counter>,
    delay: Family<SourceLabel, Histogram>,
    leader: Family<SourceLabel, Gauge>,
    open_gaps: Family<SourceLabel, Gauge>,
    parked: Family<SourceLabel, Gauge>,
    partitions_ahead: Family<SourceLabel, Gauge>,
    partition_failures: Family<SourceLabel, Counter>,
}

/// One source's metrics.
#[derive(Clone, Debug)]
pub(crate) struct SourceMetrics {
    /// Rows not yet acknowledged by Kafka; while the relay lags, an estimate from the sequence.
    pub(crate) rows_waiting: Gauge,
    /// Age of the oldest row sent and not acknowledged, in seconds.
    pub(crate) oldest_age: Gauge<f64, AtomicU64>,
    published: Counter,
    failed: Counter,
    delay: Histogram,
    /// 1 while this process leads the source.
    pub(crate) leader: Gauge,
    /// Runs of numbers drawn and not yet seen.
    pub(crate) open_gaps: Gauge,
    /// Keys that wait for an operator.
    pub(crate) parked: Gauge,
    /// Partitions wholly above the sequence.
    pub(crate) partitions_ahead: Gauge,
    /// Failed attempts to create partitions ahead.
    pub(crate) partition_failures: Counter,
}

impl Metrics {
    /// Creates the families and registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rows_waiting: Family::default(),
            oldest_age: Family::default(),
            published: Family::default(),
            failed: Family::default(),
            delay: Family::new_with_constructor(|| Histogram::new(DELAY_BUCKETS)),
            leader: Family::default(),
            open_gaps: Family::default(),
            parked: Family::default(),
            partitions_ahead: Family::default(),
            partition_failures: Family::default(),
        };
        registry.register(
            "outbox_rows_waiting",
            "Outbox rows not yet acknowledged by Kafka; an estimate while the relay lags",
            metrics.rows_waiting.clone(),
        );
        registry.register_with_unit(
            "outbox_oldest_age",
            "Age of the oldest outbox row sent and not yet acknowledged",
            Unit::Seconds,
            metrics.oldest_age.clone(),
        );
        registry.register(
            "outbox_published",
            "Outbox rows acknowledged by Kafka",
            metrics.published.clone(),
        );
        registry.register(
            "outbox_failed",
            "Records that Kafka refused or whose outcome is unknown; they are sent again",
            metrics.failed.clone(),
        );
        registry.register_with_unit(
            "outbox_acknowledged_delay",
            "From the row's created_at to Kafka's acknowledgement",
            Unit::Seconds,
            metrics.delay.clone(),
        );
        registry.register(
            "relay_leader",
            "1 while this process leads the source, 0 while it is a standby",
            metrics.leader.clone(),
        );
        registry.register(
            "outbox_open_gaps",
            "Runs of sequence numbers drawn and not yet seen committed",
            metrics.open_gaps.clone(),
        );
        registry.register(
            "outbox_parked_keys",
            "Keys that wait for an operator because Kafka refuses an event for good",
            metrics.parked.clone(),
        );
        registry.register(
            "outbox_partitions_ahead",
            "Partitions of the outbox wholly above the numbers drawn",
            metrics.partitions_ahead.clone(),
        );
        registry.register(
            "outbox_partition_failures",
            "Failed attempts to create partitions ahead",
            metrics.partition_failures.clone(),
        );
        metrics
    }

    /// The metrics of one source.
    pub(crate) fn source(&self, name: &str) -> SourceMetrics {
        let label = SourceLabel { source: name.to_owned() };
        SourceMetrics {
            rows_waiting: self.rows_waiting.get_or_create_owned(&label),
            oldest_age: self.oldest_age.get_or_create_owned(&label),
            published: self.published.get_or_create_owned(&label),
            failed: self.failed.get_or_create_owned(&label),
            delay: self.delay.get_or_create_owned(&label),
            leader: self.leader.get_or_create_owned(&label),
            open_gaps: self.open_gaps.get_or_create_owned(&label),
            parked: self.parked.get_or_create_owned(&label),
            partitions_ahead: self.partitions_ahead.get_or_create_owned(&label),
            partition_failures: self.partition_failures.get_or_create_owned(&label),
        }
    }
}

impl SourceMetrics {
    /// Kafka has acknowledged a record that was created at `created_at_ms`.
    pub(crate) fn acknowledged(&self, created_at_ms: Option<i64>) {
        self.published.inc();
        if let Some(created_at_ms) = created_at_ms {
            self.delay.observe(seconds_since(created_at_ms));
        }
    }

    /// A record was refused, or its outcome is unknown.
    pub(crate) fn failed(&self) {
        self.failed.inc();
    }
}

/// Seconds from a time in milliseconds since 1970 to now, 0 for one in the future.
pub(crate) fn seconds_since(time_ms: i64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs_f64() - time_ms as f64 / 1000.0).max(0.0)
}
