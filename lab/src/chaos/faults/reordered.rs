//! The events of one topic come late while those of the others flow, so that a consumer meets an effect before its cause.
//!
//! Someone's transaction stays open on the topic: consumers read committed records only, so that what comes after it on the topic waits
//! until it is aborted. Events meet handlers for the first time then, in another order than they were announced in.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use proto::{
    Event,
    store::{payments::events::v1::PaymentEvent, stock::events::v1::StockEvent},
};
use rand::{rngs::StdRng, seq::IndexedRandom};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult},
    metadata::{MetadataPartition, MetadataTopic},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Fault, Lane, Struck,
    handled::{Mark, Reading},
};
use crate::chaos::{ChaosError, World, world::persistently};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long the topic is held at most.
const LONGEST: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After how many milliseconds the broker ends the transaction if nobody else does.
const TRANSACTION_TIMEOUT_MS: &str = "60000";

/// Those whose events a request to cancel, which stands on the topic of orders, can overtake.
const LATE: [&str; 2] = [StockEvent::TOPIC, PaymentEvent::TOPIC];

#[derive(Clone, Copy, Debug)]
struct Reordered;

/// The one there is.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    vec![Arc::new(Reordered)]
}

impl Fault for Reordered {
    fn name(&self) -> String {
        "records.reordered".to_owned()
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let topic = *LATE.choose(&mut random).unwrap_or(&StockEvent::TOPIC);
        async move {
            let mark = persistently(async || Mark::now(world).await).await?;
            let held = persistently(async || hold(world, topic).await).await?;
            let until = Instant::now() + LONGEST;
            let mut count = 0;
            while count == 0 && Instant::now() < until {
                sleep(LOOK_EVERY).await;
                let readings = persistently(async || mark.readings(world).await).await?;
                count = overtaken(topic, &readings);
            }
            release(held).await?;
            Ok(Struck::only_if(count > 0, format!("{topic} overtaken by {count} events")))
        }
        .boxed_local()
    }
}

/// How many events were handled before one of the same key on `topic` that was announced earlier.
fn overtaken(topic: &str, readings: &[Reading]) -> usize {
    let is_late = |late: &Reading, early: &Reading| {
        late.reader == early.reader
            && late.announced.topic == topic
            && late.announced.key == early.announced.key
            && late.announced.created_at < early.announced.created_at
            && late.handled_at.is_none_or(|late| early.handled_at.is_some_and(|early| early < late))
    };
    let others = readings
        .iter()
        .filter(|reading| reading.announced.topic != topic && reading.handled_at.is_some());
    others.filter(|early| readings.iter().any(|late| is_late(late, early))).count()
}

/// Opens a transaction on every partition of `topic`.
async fn hold(world: &World, topic: &'static str) -> KafkaResult<BaseProducer> {
    let brokers = world.kafka().brokers().to_owned();
    let held = tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", format!("lab-{}", Uuid::now_v7()))
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
            .create()?;
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
        let metadata = producer.client().fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        for partition in partitions.map(MetadataPartition::id) {
            let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(b"");
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(PATIENCE)?;
        Ok(producer)
    });
    held.await.map_err(|_| KafkaError::Canceled)?
}

/// Aborts the transaction: nobody ever sees its records.
async fn release(held: BaseProducer) -> KafkaResult<()> {
    let aborted = tokio::task::spawn_blocking(move || held.abort_transaction(PATIENCE));
    aborted.await.map_err(|_| KafkaError::Canceled)?
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::{super::handled::Announced, *};
    use crate::audit::Owner;

    fn reading(topic: &str, key: &str, created: i64, handled: Option<i64>) -> Reading {
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        let announced = Announced {
            id: Uuid::now_v7(),
            topic: topic.to_owned(),
            key: key.to_owned(),
            created_at: at(created),
        };
        Reading { reader: Owner::Payments, announced, handled_at: handled.map(at) }
    }

    #[test]
    fn what_is_handled_before_an_earlier_event_of_its_key_has_overtaken_it() {
        let request = reading("orders", "a", 2, Some(3));
        let overtakes = |stock| overtaken("stock", &[request.clone(), stock]);
        assert_eq!(overtakes(reading("stock", "a", 1, Some(4))), 1);
        assert_eq!(overtakes(reading("stock", "a", 1, None)), 1);
        // In time, announced later, or about something else.
        assert_eq!(overtakes(reading("stock", "a", 1, Some(2))), 0);
        assert_eq!(overtakes(reading("stock", "a", 3, Some(4))), 0);
        assert_eq!(overtakes(reading("stock", "b", 1, Some(4))), 0);
        // What somebody else is late with, and what was not handled.
        let theirs = Reading { reader: Owner::StoreManager, ..reading("stock", "a", 1, None) };
        assert_eq!(overtakes(theirs), 0);
        let waiting = [reading("orders", "a", 2, None), reading("stock", "a", 1, None)];
        assert_eq!(overtaken("stock", &waiting), 0);
    }
}
