//! What stands on the topics is strange: events come again, under another id, with another clock's time, in another order, and with
//! them what nobody can read. All of it is marked as put there on purpose.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture, try_join_all};
use rand::{Rng, rngs::StdRng, seq::SliceRandom};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::{Fault, Lane, Struck};
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
/// The topics that somebody reads.
const READ: usize = 3;

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
    /// Old events come again, said to have happened long ago or in time to come.
    Skewed,
    /// Old events of all topics come again in another order.
    Reordered,
    /// A record on each topic that nobody can read.
    Bad,
}

/// All kinds.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    [
        Strangeness::Twice,
        Strangeness::Again,
        Strangeness::Renamed,
        Strangeness::Skewed,
        Strangeness::Reordered,
        Strangeness::Bad,
    ]
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
            Self::Skewed => "skewed",
            Self::Reordered => "reordered",
            Self::Bad => "bad",
        };
        format!("records.{what}")
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        async move {
            let count = match self {
                Self::Bad => put_bad_ones(world).await?,
                Self::Twice => echo(world).await?,
                Self::Again | Self::Renamed | Self::Skewed | Self::Reordered => {
                    let mut events = old_events(world).await?;
                    if matches!(self, Self::Reordered) {
                        events.shuffle(&mut random);
                    }
                    let producer = producer(world)?;
                    let days = random.random_range(-400..400);
                    for event in &events {
                        let (mut id, mut time) =
                            (event.header("ce_id").to_owned(), event.header("ce_time").to_owned());
                        if matches!(self, Self::Renamed) {
                            id = Uuid::now_v7().to_string();
                        }
                        if matches!(self, Self::Skewed) {
                            time = skewed(&time, days);
                        }
                        repeat(&producer, event, &id, &time).await?;
                    }
                    events.len()
                }
            };
            Ok(if count > 0 { Struck::Yes(format!("{count} records")) } else { Struck::No })
        }
        .boxed_local()
    }
}

/// Puts a record on each topic that somebody reads, which nobody can read; answers how many.
pub(super) async fn put_bad_ones(world: &World) -> Result<usize, ChaosError> {
    let producer = producer(world)?;
    let sent = TOPICS[..READ].iter().map(async |topic| {
        let key = Uuid::now_v7().to_string();
        let id = Uuid::now_v7().to_string();
        let headers = OwnedHeaders::new()
            .insert(Header { key: INJECTED, value: Some("true") })
            .insert(Header { key: "ce_id", value: Some(&id) });
        let record = FutureRecord::to(topic).key(&key).payload(&[0xff_u8; 16]).headers(headers);
        producer.send(record, PATIENCE).await.map_err(|(error, _)| error)
    });
    Ok(try_join_all(sent).await?.len())
}

/// A broker that has just come back may need a moment.
async fn open(world: &World, from: From) -> Result<Tap, ChaosError> {
    let brokers = world.kafka().brokers();
    Ok(persistently(async || Tap::open(brokers, &TOPICS, from).await).await?)
}

/// Repeats every event as it comes, for a while.
async fn echo(world: &World) -> Result<usize, ChaosError> {
    let tap = open(world, From::Now).await?;
    let producer = producer(world)?;
    let until = Instant::now() + PATIENCE;
    let mut count = 0;
    while count < TWICE
        && let Ok(event) = timeout_at(until, tap.next()).await
    {
        // A connection that was lost is made again.
        let Ok(event) = event else { continue };
        if event.header(INJECTED).is_empty() {
            repeat(&producer, &event, event.header("ce_id"), event.header("ce_time")).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// Events that stand on the topics.
async fn old_events(world: &World) -> Result<Vec<Tapped>, ChaosError> {
    let tap = open(world, From::Beginning).await?;
    let mut events = Vec::new();
    let mut silence = PATIENCE;
    while events.len() < MOST
        && let Ok(event) = timeout(silence, tap.next()).await
    {
        // A connection that was lost is made again.
        let Ok(event) = event else { continue };
        silence = SILENCE;
        if event.header(INJECTED).is_empty() {
            events.push(event);
        }
    }
    Ok(events)
}

async fn repeat(
    producer: &FutureProducer,
    event: &Tapped,
    id: &str,
    time: &str,
) -> Result<(), ChaosError> {
    let mut headers = OwnedHeaders::new().insert(Header { key: INJECTED, value: Some("true") });
    for key in HEADERS {
        let value = if key == "ce_time" { time } else { event.header(key) };
        headers = headers.insert(Header { key, value: Some(value) });
    }
    headers = headers.insert(Header { key: "ce_id", value: Some(id) });
    let record =
        FutureRecord::to(event.topic()).key(event.key()).payload(event.payload()).headers(headers);
    producer.send(record, PATIENCE).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// The time so many days later, or what it was if it is none.
fn skewed(time: &str, days: i64) -> String {
    use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
    let moved = OffsetDateTime::parse(time, &Rfc3339).ok().map(|time| time + Duration::days(days));
    moved.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| time.to_owned())
}

fn producer(world: &World) -> Result<FutureProducer, ChaosError> {
    let mut config = ClientConfig::new();
    Ok(config.set("bootstrap.servers", world.kafka().brokers()).create()?)
}

#[cfg(test)]
mod tests {
    use super::skewed;

    #[test]
    fn a_skewed_time_is_another_day_of_the_same_form() {
        assert_eq!(skewed("2026-01-31T10:00:00.5Z", 1), "2026-02-01T10:00:00.5Z");
        assert_eq!(skewed("yesterday", 1), "yesterday");
    }
}
