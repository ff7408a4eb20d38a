//! What the relay counts, per source. Names and labels are here and nowhere else.

mod partitions;

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use partitions::PartitionMetrics;

use crate::metrics::partitions::PartitionFamilies;

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
    feed_wal: Family<SourceLabel, Gauge>,
    slot_retained: Family<SourceLabel, Gauge>,
    partitions: PartitionFamilies,
    sources_file_refused: Gauge,
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
    /// 1 while the WAL is followed.
    pub(crate) feed_wal: Gauge,
    /// WAL that the slot holds back, in bytes.
    pub(crate) slot_retained: Gauge,
    /// Of its partitions.
    pub(crate) partitions: PartitionMetrics,
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
            feed_wal: Family::default(),
            slot_retained: Family::default(),
            partitions: PartitionFamilies::register(registry),
            sources_file_refused: sources_file_refused(registry),
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
            "relay_feed_wal",
            "1 while the source is read from the WAL, 0 while its table is polled",
            metrics.feed_wal.clone(),
        );
        registry.register(
            "relay_slot_retained_bytes",
            "WAL that the replication slot holds back; 0 without a slot",
            metrics.slot_retained.clone(),
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
            feed_wal: self.feed_wal.get_or_create_owned(&label),
            slot_retained: self.slot_retained.get_or_create_owned(&label),
            partitions: self.partitions.source(&label),
        }
    }

    /// Forgets a source that is served no more.
    pub(crate) fn forget(&self, name: &str) {
        let label = SourceLabel { source: name.to_owned() };
        self.rows_waiting.remove(&label);
        self.oldest_age.remove(&label);
        self.published.remove(&label);
        self.failed.remove(&label);
        self.delay.remove(&label);
        self.leader.remove(&label);
        self.open_gaps.remove(&label);
        self.parked.remove(&label);
        self.feed_wal.remove(&label);
        self.slot_retained.remove(&label);
        self.partitions.forget(&label);
    }

    /// The file of sources was read again, and taken or not.
    pub(crate) fn reloaded(&self, taken: bool) {
        self.sources_file_refused.set(i64::from(!taken));
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

fn sources_file_refused(registry: &mut Registry) -> Gauge {
    let gauge = Gauge::default();
    registry.register(
        "relay_sources_file_refused",
        "1 while the file of sources, as last read, is wrong and the sources before it are served",
        gauge.clone(),
    );
    gauge
}

/// Seconds from a time in milliseconds since 1970 to now, 0 for one in the future.
pub(crate) fn seconds_since(time_ms: i64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs_f64() - time_ms as f64 / 1000.0).max(0.0)
}
