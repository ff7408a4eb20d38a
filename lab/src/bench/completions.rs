//! Sees sagas complete: reads the orders' topic from its end and notes when each SagaCompleted arrived.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use prost::Message as _;
use proto::{
    Event,
    store::orders::events::v1::{OrderEvent, order_event::Event as Inner},
};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::load::{BenchError, Placed};

const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When each saga completed, by order id. Observes until it is dropped.
#[derive(Debug)]
pub(super) struct Completions {
    seen: Arc<Mutex<HashMap<String, Instant>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Completions {
    /// Starts to observe what is completed from now on.
    pub(super) fn observe(brokers: &str) -> Result<Self, BenchError> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "lab-bench")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .create()?;
        assign_to_ends(&consumer)?;
        let seen = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (thread_seen, thread_stop) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || observe(&consumer, &thread_seen, &thread_stop));
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// Waits until each of `orders` has completed, and tells when.
    pub(super) async fn wait_for(
        &self,
        orders: &[Placed],
        timeout: Duration,
    ) -> Result<HashMap<String, Instant>, BenchError> {
        let deadline = Instant::now() + timeout;
        loop {
            let missing = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let found: HashMap<_, _> = orders
                    .iter()
                    .filter_map(|order| seen.get_key_value(&order.order_id))
                    .map(|(id, at)| (id.clone(), *at))
                    .collect();
                if found.len() == orders.len() {
                    return Ok(found);
                }
                orders.len() - found.len()
            };
            if Instant::now() > deadline {
                return Err(BenchError::NotCompleted { missing });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn assign_to_ends(consumer: &BaseConsumer) -> Result<(), BenchError> {
    let metadata = consumer.fetch_metadata(Some(OrderEvent::TOPIC), KAFKA_TIMEOUT)?;
    let mut ends = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions)
    {
        let (_, end) =
            consumer.fetch_watermarks(OrderEvent::TOPIC, partition.id(), KAFKA_TIMEOUT)?;
        ends.add_partition_offset(OrderEvent::TOPIC, partition.id(), Offset::Offset(end))?;
    }
    consumer.assign(&ends)?;
    Ok(())
}

fn observe(consumer: &BaseConsumer, seen: &Mutex<HashMap<String, Instant>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(LOOK_EVERY) else { continue };
        let event = message.payload().and_then(|payload| OrderEvent::decode(payload).ok());
        if let Some(OrderEvent { event: Some(Inner::SagaCompleted(completed)) }) = event {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.entry(completed.order_id).or_insert_with(Instant::now);
        }
    }
}
