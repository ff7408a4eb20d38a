//! P-7: what the outbox costs the one who writes to it: orders a second, the database's processor time and its log, with and
//! without the event.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgListener};

use super::{
    figure::{Entry, Figure, Target, Verdict},
    ground::{self, Delivery, Ground},
    options::{FigureId, RelayPlan},
    orders::{self, CHANNEL, Event},
    plot::{Bar, Plot},
    rows::connect,
    say,
};

const DATABASE: &str = "orders";
/// The part of the time that is not measured before each.
const WARM_UP: u32 = 4;

/// Who waits for events meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Nobody,
    /// Somebody who listens for notifications and does nothing.
    Listener,
    /// A relay; with one caller it falls asleep after each order.
    Relay,
    /// One that went to sleep and has been stopped there: each order notifies it.
    FrozenRelay,
}

/// A way to write orders.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    event: Event,
    callers: usize,
    reader: Reader,
}

const WAYS: [Way; 8] = [
    way("no event", Event::None, 16, Reader::Nobody),
    way("plain INSERT", Event::Plain, 16, Reader::Nobody),
    way("plain INSERT, NOTIFY", Event::Notified, 16, Reader::Listener),
    way("outbox", Event::Outbox, 16, Reader::Nobody),
    way("outbox, relay at work", Event::Outbox, 16, Reader::Relay),
    way("outbox, relay frozen asleep", Event::Outbox, 16, Reader::FrozenRelay),
    way("one caller, plain INSERT", Event::Plain, 1, Reader::Nobody),
    way("one caller, outbox, relay asleep", Event::Outbox, 1, Reader::Relay),
];

const fn way(name: &'static str, event: Event, callers: usize, reader: Reader) -> Way {
    Way { name, event, callers, reader }
}

/// What a way of writing showed in one run.
struct Written {
    orders_per_s: f64,
    postgres_us: f64,
    wal_bytes: f64,
}

impl Written {
    fn measures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("orders_per_s", self.orders_per_s),
            ("postgres_us", self.postgres_us),
            ("wal_bytes", self.wal_bytes),
        ]
    }
}

/// Measures all ways, one after the other in each run.
pub(super) async fn figure(ground: &Ground, plan: &RelayPlan) -> anyhow::Result<Figure> {
    let url = ground.database(DATABASE).await?;
    orders::prepare(&mut connect(&url).await?).await?;
    let sizes = plan.sizes();
    let mut all = WAYS.map(|way| (way, Vec::new()));
    for run in 1..=sizes.runs {
        for (way, runs) in &mut all {
            let written = write(ground, &url, *way, sizes.writing).await?;
            let (name, rate) = (way.name, written.orders_per_s);
            say(format!("run {run} of {}: {name}: {rate:.0} orders/s", sizes.runs));
            runs.push(written.measures());
        }
    }
    ground.drop_database(DATABASE).await?;
    let mut figure = Figure::new(FigureId::WriterTax, "what the outbox costs the writer");
    figure.entries = all.map(|(way, runs)| Entry::of_runs(way.name, runs)).into();
    figure.verdicts = verdicts(&figure.entries);
    let bars = figure.entries.iter().map(|entry| Bar {
        name: entry.name.clone(),
        parts: vec![("orders", entry.spread("orders_per_s").median())],
    });
    let plot = Plot::bars("writer_tax", "orders, median", "a second", bars.collect());
    figure.plots = vec![plot];
    Ok(figure)
}

fn verdicts(entries: &[Entry]) -> Vec<Verdict> {
    let [nothing, plain, _, outbox, _, _, one_plain, one_asleep] = entries else { return vec![] };
    let ratio = |what: &str, one: &Entry, other: &Entry, bound| Verdict {
        what: what.to_owned(),
        spread: one.spread("orders_per_s").over(&other.spread("orders_per_s")),
        target: Target::AtLeast(bound),
    };
    vec![
        ratio("rate with the outbox, of that without an event", outbox, nothing, 0.80),
        ratio("rate with the outbox, of that with a plain INSERT", outbox, plain, 0.95),
        ratio("the same, one caller and the relay asleep", one_asleep, one_plain, 0.9),
    ]
}

async fn write(
    ground: &Ground,
    url: &str,
    way: Way,
    duration: Duration,
) -> anyhow::Result<Written> {
    let mut control = connect(url).await?;
    orders::empty(&mut control).await?;
    let topic = ground.topic().await?;
    let relay = match way.reader {
        Reader::Relay => Some(ground.relay(url, Delivery::AtLeastOnce).await?),
        Reader::Nobody | Reader::Listener | Reader::FrozenRelay => None,
    };
    let written = tokio::select! {
        written = measure(ground, url, way, duration) => written?,
        ended = listen(url, way.reader) => match ended? {},
    };
    if let Some(relay) = relay {
        ground::stop(&relay).await?;
    }
    topic.remove().await?;
    Ok(written)
}

async fn measure(
    ground: &Ground,
    url: &str,
    way: Way,
    duration: Duration,
) -> anyhow::Result<Written> {
    let mut control = connect(url).await?;
    let mut callers = try_join_all((0..way.callers).map(|_| connect(url))).await?;
    place_for(&mut callers, duration / WARM_UP, way.event).await?;
    let pids = ground.pids(None).await?;
    let (cpu, wal, start) = (pids.cpu(), wal_position(&mut control).await?, Instant::now());
    let orders = place_for(&mut callers, duration, way.event).await? as f64;
    let elapsed = start.elapsed();
    let cpu = pids.cpu().since(cpu);
    Ok(Written {
        orders_per_s: orders / elapsed.as_secs_f64(),
        postgres_us: cpu.postgres.as_secs_f64() * 1e6 / orders,
        wal_bytes: (wal_position(&mut control).await? - wal) as f64 / orders,
    })
}

/// Lets each caller place one order after the other, and answers how many that were.
async fn place_for(
    callers: &mut [PgConnection],
    duration: Duration,
    event: Event,
) -> sqlx::Result<u64> {
    let start = Instant::now();
    let placing = callers.iter_mut().zip(0_u64..).map(async |(connection, caller)| {
        let mut placed = 0;
        while start.elapsed() < duration {
            // Far enough apart that callers do not go through the same products together.
            orders::place(connection, caller * 97 + placed, event).await?;
            placed += 1;
        }
        Ok::<_, sqlx::Error>(placed)
    });
    Ok(try_join_all(placing).await?.into_iter().sum())
}

/// Bytes of log written since the beginning.
async fn wal_position(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    sqlx::query(position).fetch_one(connection).await?.try_get(0)
}

/// Listens as `reader` does, for as long as it is let.
async fn listen(url: &str, reader: Reader) -> sqlx::Result<Infallible> {
    let channel = match reader {
        Reader::Nobody | Reader::Relay => return std::future::pending().await,
        Reader::Listener => CHANNEL,
        Reader::FrozenRelay => "messaging_outbox",
    };
    let mut listener = PgListener::connect(url).await?;
    listener.listen(channel).await?;
    let mut asleep = PgConnection::connect(url).await?;
    if reader == Reader::FrozenRelay {
        let lock = "SELECT pg_advisory_lock('messaging.outbox_sequence'::regclass::oid::bigint)";
        asleep.execute(lock).await?;
    }
    loop {
        listener.recv().await?;
    }
}
