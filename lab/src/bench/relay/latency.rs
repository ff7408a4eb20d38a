//! P-4: how long after its commit an event is with a consumer, at a steady rate; and what it costs to wait for the next one.
//!
//! The clock starts when PostgreSQL has acknowledged the commit, and for the bare round trip when the record is handed to
//! the producer. Events keep to their rate whether or not anybody keeps up.

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::time::sleep;

use super::{
    arrivals::Arrivals,
    contender::Contender,
    cpu::{Cpu, Pids},
    ground::Ground,
    options::Sizes,
    rival::{Rival, Tuning},
    steady::{Events, RATE},
    topic::Topic,
};

const DATABASE: &str = "latency";
/// After the last event, until idleness begins.
const CALM: Duration = Duration::from_secs(2);

/// Who takes events to the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Producer to consumer, with nothing in between.
    RoundTrip,
    /// From an outbox.
    Outbox(Contender),
}

/// What one carrier showed in one run.
pub(super) struct Carried {
    latency: Histogram<u64>,
    /// What an event, and a minute without any, cost a carrier that is a process.
    cost: Option<Cost>,
}

struct Cost {
    process_us: f64,
    idle_process_s: f64,
    idle_postgres_s: f64,
}

impl Carrier {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "bare round trip",
            Self::Outbox(contender) => contender.name(),
        }
    }

    fn warm_up_s(self, sizes: Sizes) -> u32 {
        match self {
            Self::Outbox(Contender::Debezium(Tuning::Rate | Tuning::Latency)) => {
                sizes.debezium_warm_up_s
            }
            Self::RoundTrip
            | Self::Outbox(Contender::Bare | Contender::Relay | Contender::ExactlyOnce) => {
                sizes.latency_warm_up_s
            }
        }
    }
}

impl Carried {
    /// The latency in milliseconds that `share` of the events did not exceed.
    pub(super) fn ms(&self, share: f64) -> f64 {
        self.latency.value_at_quantile(share) as f64 / 1e3
    }

    pub(super) fn measures(&self) -> Vec<(&'static str, f64)> {
        let mut measures =
            vec![("p50_ms", self.ms(0.5)), ("p99_ms", self.ms(0.99)), ("max_ms", self.ms(1.0))];
        if let Some(cost) = &self.cost {
            measures.extend([
                ("process_us", cost.process_us),
                ("idle_process_s_per_min", cost.idle_process_s),
                ("idle_postgres_s_per_min", cost.idle_postgres_s),
            ]);
        }
        measures
    }
}

/// Measures one carrier once.
pub(super) async fn carry(
    ground: &Ground,
    sizes: Sizes,
    carrier: Carrier,
    rival: Option<&Rival>,
) -> anyhow::Result<Carried> {
    let topic = ground.topic().await?;
    let carried = match carrier {
        Carrier::RoundTrip => {
            let mut events = Events::produced(ground.brokers().await?)?;
            let pids = ground.pids(None).await?;
            let (latency, _) = steadily(&mut events, &topic, pids, carrier, sizes).await?;
            Carried { latency, cost: None }
        }
        Carrier::Outbox(contender) => from_outbox(ground, sizes, &topic, contender, rival).await?,
    };
    topic.remove().await?;
    Ok(carried)
}

async fn from_outbox(
    ground: &Ground,
    sizes: Sizes,
    topic: &Topic,
    contender: Contender,
    rival: Option<&Rival>,
) -> anyhow::Result<Carried> {
    let url = ground.database(DATABASE).await?;
    if let Some(rival) = rival {
        rival.keep_log(&url).await?;
    }
    let running = contender.start(ground, &url, rival).await?;
    let pids = ground.pids(running.pid().await).await?;
    let mut events = Events::written(&url).await?;
    let carrier = Carrier::Outbox(contender);
    let (latency, busy) = steadily(&mut events, topic, pids, carrier, sizes).await?;
    drop(events);
    sleep(CALM).await;
    let idle_from = pids.cpu();
    sleep(sizes.idle).await;
    let idle = pids.cpu().since(idle_from);
    running.stop().await?;
    ground.drop_database(DATABASE).await?;
    let minutes = sizes.idle.as_secs_f64() / 60.0;
    let cost = Cost {
        process_us: busy.process.as_secs_f64() * 1e6 / latency.len() as f64,
        idle_process_s: idle.process.as_secs_f64() / minutes,
        idle_postgres_s: idle.postgres.as_secs_f64() / minutes,
    };
    Ok(Carried { latency, cost: Some(cost) })
}

/// Lets events happen until everybody is warm, then those that are measured; answers how long they took, and what they cost.
async fn steadily(
    events: &mut Events,
    topic: &Topic,
    pids: Pids,
    carrier: Carrier,
    sizes: Sizes,
) -> anyhow::Result<(Histogram<u64>, Cpu)> {
    let arrivals = Arrivals::listen(topic)?;
    events.happen(0..1).await?;
    arrivals.wait_for(1).await?;
    let warm = 1 + u64::from(carrier.warm_up_s(sizes) * RATE);
    let end = warm + u64::from(sizes.latency_s * RATE);
    events.happen(1..warm).await?;
    let before = pids.cpu();
    let happened = events.happen(warm..end).await?;
    let busy = pids.cpu().since(before);
    arrivals.wait_for(end.try_into()?).await?;
    let arrived = arrivals.stop().await?;
    let mut latency = Histogram::new(3)?;
    for (number, happened_at) in &happened {
        let arrived_at = arrived.get(number).context("an event has not arrived")?;
        let took = arrived_at.saturating_duration_since(*happened_at);
        latency.record(took.as_micros().try_into()?)?;
    }
    Ok((latency, busy))
}
