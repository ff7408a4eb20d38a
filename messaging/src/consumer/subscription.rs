//! The Kafka side: membership in the group, reading, pausing, and the offsets.

use std::{
    mem,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt;
use rdkafka::{
    ClientConfig, ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tracing::{debug, error, info, warn};

use super::{ConsumerOptions, ConsumerStatus, batch::Item};
use crate::{ConsumerMetrics, Record, client};

/// A partition that is no longer ours.
pub(super) struct Revoked {
    topic: String,
    partition: i32,
}

impl Revoked {
    pub(super) fn holds(&self, record: &Record) -> bool {
        self.partition == record.partition && self.topic == record.topic
    }
}

/// Membership in the group.
pub(super) struct Subscription {
    client: StreamConsumer<Watcher>,
}

impl Subscription {
    pub(super) fn open(
        options: &ConsumerOptions,
        topics: &[&str],
        metrics: ConsumerMetrics,
        status: ConsumerStatus,
    ) -> KafkaResult<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &options.brokers)
            .set("group.id", &options.group)
            .set("client.id", &options.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A killed member's partitions move on after this time.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", "300000")
            // A broker that is back is noticed soon.
            .set("reconnect.backoff.max.ms", "2000")
            // A topic that the broker did not know yet when it was subscribed to is found that soon, not after five minutes.
            .set("topic.metadata.refresh.interval.ms", "5000")
            // Answer a fetch as soon as there is a byte, and bound what is read ahead: by count too, since a small message
            // costs far more memory than its bytes, and who comes later on another partition waits for all of it.
            .set("fetch.min.bytes", "1")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "16384")
            .set("statistics.interval.ms", "5000");
        for (key, value) in &options.overrides {
            config.set(key, value);
        }
        let watcher = Watcher {
            metrics,
            status,
            revoked: Mutex::default(),
            commit_failed: AtomicBool::new(false),
        };
        let client: StreamConsumer<Watcher> = config.create_with_context(watcher)?;
        client.subscribe(topics)?;
        Ok(Self { client })
    }

    /// The next record; waits for it. Rebalancing happens in here and in [`available`](Self::available) only.
    pub(super) async fn next(&self) -> KafkaResult<Record> {
        self.client.recv().await.map(|message| Record::from(&message))
    }

    /// The next record if it is there already.
    pub(super) fn available(&self) -> Option<KafkaResult<Record>> {
        self.next().now_or_never()
    }

    /// The partitions taken away since the last call.
    pub(super) fn take_revoked(&self) -> Vec<Revoked> {
        mem::take(&mut *self.watcher().revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Moves the offsets past `items`, which are settled. Failure costs repeats, which the inbox recognises.
    pub(super) fn commit<'a>(&self, items: impl Iterator<Item = &'a Item>) {
        let mut offsets = TopicPartitionList::new();
        for Item { record, .. } in items {
            let next = Offset::Offset(record.offset + 1);
            let known = offsets.set_partition_offset(&record.topic, record.partition, next);
            if known.is_err() {
                let added = offsets.add_partition_offset(&record.topic, record.partition, next);
                debug_assert!(added.is_ok(), "the offset of a record is valid");
            }
        }
        // Refused for partitions that are not ours.
        if let Err(error) = self.client.store_offsets(&offsets) {
            debug!(%error, "offsets not moved");
        }
        self.commit_stored(CommitMode::Async);
    }

    /// Tries again what an asynchronous commit could not do.
    pub(super) fn commit_again(&self) {
        if self.watcher().commit_failed.swap(false, Ordering::Relaxed) {
            self.commit_stored(CommitMode::Async);
        }
    }

    fn commit_stored(&self, mode: CommitMode) {
        match self.client.commit_consumer_state(mode) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => warn!(%error, "offsets not committed, records may come again"),
        }
    }

    /// Pauses every assigned partition.
    pub(super) fn pause(&self) {
        if let Err(error) = self.client.assignment().and_then(|all| self.client.pause(&all)) {
            warn!(%error, "partitions not paused");
        }
    }

    /// Resumes every assigned partition.
    pub(super) fn resume(&self) {
        if let Err(error) = self.client.assignment().and_then(|all| self.client.resume(&all)) {
            warn!(%error, "partitions not resumed");
        }
    }

    /// Commits the offsets for the last time and leaves the group. Blocks a thread that may be blocked.
    pub(super) async fn close(self) {
        let left = tokio::task::spawn_blocking(move || {
            self.commit_stored(CommitMode::Sync);
            drop(self.client);
        });
        if let Err(error) = left.await {
            error!(%error, "group not left");
        }
    }

    fn watcher(&self) -> &Watcher {
        self.client.context()
    }
}

/// What librdkafka calls back; all of it while it is polled.
struct Watcher {
    metrics: ConsumerMetrics,
    status: ConsumerStatus,
    revoked: Mutex<Vec<Revoked>>,
    commit_failed: AtomicBool,
}

impl ClientContext for Watcher {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.metrics.connected(connected);
        self.status.connected(connected);
        let mut all = 0;
        for (name, topic) in &statistics.topics {
            // -1: not known, or not ours.
            let lag =
                topic.partitions.values().map(|partition| partition.consumer_lag.max(0)).sum();
            self.metrics.lag(name, lag);
            all += lag;
        }
        self.status.lag(all);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AllBrokersDown)) {
            self.metrics.connected(false);
            self.status.connected(false);
        }
        client::report(&error, reason);
    }
}

impl ConsumerContext for Watcher {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => {
                info!(partitions = partitions.count(), "partitions revoked");
                let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
                revoked.extend(partitions.elements().iter().map(|element| Revoked {
                    topic: element.topic().to_owned(),
                    partition: element.partition(),
                }));
            }
            Rebalance::Assign(partitions) => {
                info!(partitions = partitions.count(), "partitions assigned");
            }
            Rebalance::Error(error) => error!(%error, "rebalancing failed"),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        match consumer.assignment() {
            Ok(assigned) => {
                self.status.connected(true);
                self.metrics.connected(true);
                self.status.assigned(assigned.count());
            }
            Err(error) => warn!(%error, "assignment not known"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                self.commit_failed.store(true, Ordering::Relaxed);
                warn!(%error, "offsets not committed, trying again");
            }
        }
    }
}
