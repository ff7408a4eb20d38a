//! Watches a contender: how many records stand on the topic, how much memory it holds, and who has used how much of the
//! processors.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::sleep;

use super::{
    contender::Running,
    cpu::{self, Cpu, Pids},
    ground::Ground,
    topic::Topic,
};
use crate::stack::tail;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The same while something long is waited for.
const GLANCE_EVERY: Duration = Duration::from_millis(250);
/// How long no record may come before the contender counts as stuck.
const STUCK: Duration = Duration::from_secs(120);
/// How long none must come until what there is counts as all.
const QUIET: Duration = Duration::from_secs(1);

/// How things stood at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) records: i64,
    pub(super) cpu: Cpu,
    pub(super) resident_mib: f64,
}

/// When a drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As soon as there are as many records as rows.
    Enough,
    /// When nothing more comes: offsets also count the marks of transactions.
    Quiet,
}

/// A look at a contender from its start on.
pub(super) struct Watch<'a> {
    topic: &'a Topic,
    running: &'a Running,
    pids: Pids,
    samples: Vec<Sample>,
}

impl<'a> Watch<'a> {
    /// Begins to watch.
    pub(super) async fn new(
        ground: &Ground,
        topic: &'a Topic,
        running: &'a Running,
    ) -> anyhow::Result<Self> {
        let pids = ground.pids(running.pid().await).await?;
        let mut watch = Self { topic, running, pids, samples: Vec::new() };
        watch.look().await;
        Ok(watch)
    }

    /// Watches until `rows` records stand on the topic.
    pub(super) async fn drained(&mut self, rows: i64, end: End) -> anyhow::Result<()> {
        let mut grown_at = Instant::now();
        loop {
            let before = self.records();
            self.look().await;
            let records = self.records();
            if records > before {
                grown_at = Instant::now();
            }
            let quiet = grown_at.elapsed();
            if records >= rows && (end == End::Enough || quiet > QUIET) {
                break;
            }
            if !self.running.is_running().await {
                bail!("it ended after {records} of {rows} records: {}", self.last_words());
            }
            if quiet > STUCK {
                bail!("{records} of {rows} records came, and no more: {}", self.last_words());
            }
            sleep(LOOK_EVERY).await;
        }
        // What came after the last record is not part of the drain.
        let last = self.records();
        let over = self.samples.iter().position(|sample| sample.records == last);
        self.samples.truncate(over.map_or(usize::MAX, |index| index + 1));
        Ok(())
    }

    /// Watches until `work` is done.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(GLANCE_EVERY) => self.look().await,
            }
        }
    }

    /// The most memory it has held.
    pub(super) async fn peak_mib(&self) -> anyhow::Result<f64> {
        let pid = self.running.pid().await;
        pid.and_then(cpu::peak_mib).with_context(|| format!("it ended: {}", self.last_words()))
    }

    /// What was seen.
    pub(super) fn into_samples(self) -> Vec<Sample> {
        self.samples
    }

    /// The end of its log, which is removed with everything else.
    fn last_words(&self) -> String {
        tail(&self.running.log())
    }

    fn records(&self) -> i64 {
        self.samples.last().map_or(0, |sample| sample.records)
    }

    /// Takes a sample; a broker that does not answer leaves the number of records at what it was.
    async fn look(&mut self) {
        let records = self.topic.records().await.unwrap_or(self.records());
        self.samples.push(Sample {
            at: Instant::now(),
            records,
            cpu: self.pids.cpu(),
            resident_mib: self.pids.process.and_then(cpu::resident_mib).unwrap_or_default(),
        });
    }
}
