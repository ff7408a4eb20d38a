//! Events come again, also under another id. All of them are marked as put there on purpose.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{Fault, Lane, Struck, handled::Mark};
use crate::{
    audit::INJECTED,
    chaos::{ChaosError, World, world::persistently},
    tap::{From, TOPICS, Tap, Tapped},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a topic is silent that has come to its end.
const SILENCE: Duration = Duration::from_millis(300);
/// How many events come twice.
const TWICE: usize = 60;
/// How many old events come again.
const MOST: usize = 80;

const HEADERS: [&str; 9] = [
    "content-type",
    "ce_specversion",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_correlationid",
    "ce_causationid",
    "traceparent",
    "ce_time",
];

#[derive(Clone, Copy, Debug)]
enum Strangeness {
    /// For a while every event comes twice.
    Twice,
    /// Old events come again.
    Again,
    /// Old events come again under another id.
    Renamed,
}

/// All kinds.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    [Strangeness::Twice, Strangeness::Again, Strangeness::Renamed]
        .into_iter()
        .map(|strangeness| Arc::new(strangeness) as Arc<dyn Fault>)
        .collect()
}

impl Fault for Strangeness {
    fn name(&self) -> String {
        let what = match self {
            Self::Twice => "twice",
            Self::Again => "again",
            Self::Renamed => "renamed",
        };
        format!("records.{what}")
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        async move {
            let count = match self {
                Self::Twice => echo(world).await?,
                Self::Again | Self::Renamed => {
                    let events = old_events(world, random).await?;
                    let producer = producer(world)?;
                    for event in &events {
                        let id = match self {
                            Self::Renamed => Uuid::now_v7().to_string(),
                            Self::Twice | Self::Again => event.header("ce_id").to_owned(),
                        };
                        repeat(&producer, event, &id).await?;
                    }
                    events.len()
                }
            };
            Ok(Struck::only_if(count > 0, format!("{count} records")))
        }
        .boxed_local()
    }
}

/// A broker that has just come back may need a moment.
pub(super) async fn open(world: &World, topics: &[&str], from: From) -> Result<Tap, ChaosError> {
    let brokers = world.kafka().brokers();
    Ok(persistently(async || Tap::open(brokers, topics, from).await).await?)
}

/// Repeats every event as it comes, for a while.
async fn echo(world: &World) -> Result<usize, ChaosError> {
    let tap = open(world, &TOPICS, From::Now).await?;
    let producer = producer(world)?;
    let until = Instant::now() + PATIENCE;
    let mut count = 0;
    while count < TWICE
        && let Ok(event) = timeout_at(until, tap.next()).await
    {
        // A connection that was lost is made again.
        let Ok(event) = event else { continue };
        if event.header(INJECTED).is_empty() {
            repeat(&producer, &event, event.header("ce_id")).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// Events that stand on the topics, one after the other from any of them on.
async fn old_events(world: &World, mut random: StdRng) -> Result<Vec<Tapped>, ChaosError> {
    let announced = persistently(async || Mark::now(world).await).await?.announced();
    let end = random.random_range(0..=announced).saturating_add(MOST);
    let tap = open(world, &TOPICS, From::Beginning).await?;
    let mut events = Vec::new();
    let mut silence = PATIENCE;
    while events.len() < end
        && let Ok(event) = timeout(silence, tap.next()).await
    {
        // A connection that was lost is made again.
        let Ok(event) = event else { continue };
        silence = SILENCE;
        if event.header(INJECTED).is_empty() {
            events.push(event);
        }
    }
    Ok(events.split_off(events.len().saturating_sub(MOST)))
}

async fn repeat(producer: &FutureProducer, event: &Tapped, id: &str) -> Result<(), ChaosError> {
    let mut headers = OwnedHeaders::new().insert(Header { key: INJECTED, value: Some("true") });
    for key in HEADERS {
        headers = headers.insert(Header { key, value: Some(event.header(key)) });
    }
    headers = headers.insert(Header { key: "ce_id", value: Some(id) });
    let record =
        FutureRecord::to(event.topic()).key(event.key()).payload(event.payload()).headers(headers);
    producer.send(record, PATIENCE).await.map_err(|(error, _)| error)?;
    Ok(())
}

pub(super) fn producer(world: &World) -> Result<FutureProducer, ChaosError> {
    let mut config = ClientConfig::new();
    Ok(config.set("bootstrap.servers", world.kafka().brokers()).create()?)
}
