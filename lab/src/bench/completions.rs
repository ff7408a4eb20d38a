//! Sees sagas complete: notes when each SagaCompleted arrives from Kafka.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use prost::Message as _;
use proto::{
    Event,
    store::orders::events::v1::{OrderEvent, order_event::Event as Inner},
};
use tokio::time::timeout;

use super::load::BenchError;
use crate::tap::{From, Tap};

const PATIENCE: Duration = Duration::from_secs(300);

/// Listens for completed sagas.
pub(super) struct Completions(Tap);

impl Completions {
    /// Listens from now on.
    pub(super) async fn open(brokers: &str) -> Result<Self, BenchError> {
        Ok(Self(Tap::open(brokers, &[OrderEvent::TOPIC], From::Now).await?))
    }

    /// Waits until `count` sagas have completed; tells when each did, by order id. Gives up if nothing happens for five minutes: a
    /// burst is worked through step by step, so that its first saga ends late.
    pub(super) async fn next(&self, count: usize) -> Result<HashMap<String, Instant>, BenchError> {
        let mut completed = HashMap::with_capacity(count);
        while completed.len() < count {
            let missing = count - completed.len();
            let record = timeout(PATIENCE, self.0.next()).await;
            let record = record.map_err(|_| BenchError::NotCompleted { missing })??;
            let event = OrderEvent::decode(record.payload()).ok().and_then(|event| event.event);
            if let Some(Inner::SagaCompleted(saga)) = event {
                completed.entry(saga.order_id).or_insert_with(Instant::now);
            }
        }
        Ok(completed)
    }
}
