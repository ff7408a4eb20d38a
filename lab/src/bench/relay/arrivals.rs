//! A consumer that notes when each numbered record arrives. The number is the record's key.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use rdkafka::{Message, Offset, consumer::BaseConsumer};

use super::topic::Topic;

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A thread that consumes.
pub(super) struct Arrivals {
    count: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<HashMap<u64, Instant>>,
}

impl Arrivals {
    /// Consumes the topic from its beginning.
    pub(super) fn listen(topic: &Topic) -> anyhow::Result<Self> {
        let reader = topic.reader(Offset::Beginning)?;
        let (count, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, stop) = (Arc::clone(&count), Arc::clone(&over));
        let thread = thread::Builder::new()
            .name("arrivals".to_owned())
            .spawn(move || listen(&reader, &counter, &stop))?;
        Ok(Self { count, over, thread })
    }

    /// Waits until `expected` different records have arrived.
    pub(super) async fn wait_for(&self, expected: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.count.load(Ordering::Relaxed) < expected {
            let arrived = self.count.load(Ordering::Relaxed);
            ensure!(start.elapsed() < PATIENCE, "{arrived} of {expected} records have arrived");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Stops, and tells when each record arrived.
    pub(super) async fn stop(self) -> anyhow::Result<HashMap<u64, Instant>> {
        self.over.store(true, Ordering::Relaxed);
        let arrivals = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        arrivals.map_err(|_| anyhow!("the consumer has panicked"))
    }
}

fn listen(reader: &BaseConsumer, count: &AtomicUsize, over: &AtomicBool) -> HashMap<u64, Instant> {
    let mut arrivals = HashMap::new();
    while !over.load(Ordering::Relaxed) {
        let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else { continue };
        let now = Instant::now();
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
        if let Some(number) = key.and_then(|key| key.parse().ok()) {
            arrivals.entry(number).or_insert(now);
            count.store(arrivals.len(), Ordering::Relaxed);
        }
    }
    arrivals
}
