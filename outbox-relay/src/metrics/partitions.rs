//! What the relay counts of a source's partitions.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::SourceLabel;

/// The families of all sources.
#[derive(Clone, Debug)]
pub(super) struct PartitionFamilies {
    present: Family<SourceLabel, Gauge>,
    ahead: Family<SourceLabel, Gauge>,
    failures: Family<SourceLabel, Counter>,
    dropped: Family<SourceLabel, Counter>,
    retention_failures: Family<SourceLabel, Counter>,
}

/// One source's.
#[derive(Clone, Debug)]
pub(crate) struct PartitionMetrics {
    /// Partitions that the table has.
    pub(crate) present: Gauge,
    /// Partitions wholly above the sequence.
    pub(crate) ahead: Gauge,
    /// Failed attempts to create partitions ahead.
    pub(crate) failures: Counter,
    /// Published partitions dropped.
    pub(crate) dropped: Counter,
    /// Failed attempts to drop published partitions.
    pub(crate) retention_failures: Counter,
}

impl PartitionFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            present: Family::default(),
            ahead: Family::default(),
            failures: Family::default(),
            dropped: Family::default(),
            retention_failures: Family::default(),
        };
        registry.register(
            "outbox_partitions",
            "Partitions of the outbox",
            families.present.clone(),
        );
        registry.register(
            "outbox_partitions_ahead",
            "Partitions of the outbox wholly above the numbers drawn",
            families.ahead.clone(),
        );
        registry.register(
            "outbox_partition_failures",
            "Failed attempts to create partitions ahead",
            families.failures.clone(),
        );
        registry.register(
            "outbox_partitions_dropped",
            "Partitions of the outbox dropped, wholly published and older than the retention",
            families.dropped.clone(),
        );
        registry.register(
            "outbox_retention_failures",
            "Failed attempts to drop partitions that are published and old enough",
            families.retention_failures.clone(),
        );
        families
    }

    pub(super) fn source(&self, label: &SourceLabel) -> PartitionMetrics {
        PartitionMetrics {
            present: self.present.get_or_create_owned(label),
            ahead: self.ahead.get_or_create_owned(label),
            failures: self.failures.get_or_create_owned(label),
            dropped: self.dropped.get_or_create_owned(label),
            retention_failures: self.retention_failures.get_or_create_owned(label),
        }
    }

    pub(super) fn forget(&self, label: &SourceLabel) {
        self.present.remove(label);
        self.ahead.remove(label);
        self.failures.remove(label);
        self.dropped.remove(label);
        self.retention_failures.remove(label);
    }
}
