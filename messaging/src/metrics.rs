//! What the consumer counts.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use runtime::metrics::Registry;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the names say it")]
pub(crate) enum Outcome {
    Handled,
    Repeated,
    Rejected,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    topic: String,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
}

/// The consumer's metrics; clones count together.
#[derive(Clone, Debug, Default)]
pub struct ConsumerMetrics {
    records: Family<RecordLabels, Counter>,
    dead_letters: Family<TopicLabels, Counter>,
    retries: Counter,
    lag: Family<TopicLabels, Gauge>,
    stuck_seconds: Gauge,
    connected: Gauge,
}

impl ConsumerMetrics {
    /// Makes the metrics known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "consumer_records",
            "Records settled, by outcome",
            metrics.records.clone(),
        );
        registry.register(
            "consumer_dead_letters",
            "Records parked in a dead-letter topic",
            metrics.dead_letters.clone(),
        );
        registry.register(
            "consumer_retries",
            "Attempts put off because of transient trouble",
            metrics.retries.clone(),
        );
        registry.register(
            "consumer_lag_records",
            "Records of the assigned partitions that are not settled yet",
            metrics.lag.clone(),
        );
        registry.register(
            "consumer_stuck_seconds",
            "For how long the same records have been tried in vain; 0 when flowing",
            metrics.stuck_seconds.clone(),
        );
        registry.register(
            "consumer_kafka_connected",
            "1 while a broker is reached",
            metrics.connected.clone(),
        );
        metrics
    }

    pub(crate) fn settled(&self, topic: &str, outcome: Outcome) {
        self.records.get_or_create(&RecordLabels { topic: topic.to_owned(), outcome }).inc();
    }

    pub(crate) fn parked(&self, topic: &str) {
        self.dead_letters.get_or_create(&TopicLabels { topic: topic.to_owned() }).inc();
    }

    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    pub(crate) fn lag(&self, topic: &str, records: i64) {
        self.lag.get_or_create(&TopicLabels { topic: topic.to_owned() }).set(records);
    }

    pub(crate) fn stuck(&self, seconds: u64) {
        self.stuck_seconds.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.connected.set(i64::from(connected));
    }
}
