//! P-5: the most memory the relay ever holds: with a large backlog, with one large transaction, and with Kafka away while rows
//! come in.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::{Executor, PgConnection};
use tokio::time::sleep;

use super::{
    contender::Contender,
    figure::{Entry, Figure, Target, Verdict},
    ground::{Ground, TOPIC, settle},
    options::{FigureId, RelayPlan},
    plot::{Across, Line, Plot},
    rows::{Rows, connect},
    say,
    throughput::BOUND_MIB,
    watch::{End, Sample, Watch},
};

const DATABASE: &str = "memory";
/// How many rows one transaction writes while Kafka is away.
const PER_TRANSACTION: i64 = 100;

/// What comes upon the relay.
#[derive(Clone, Copy, Debug)]
enum Trial {
    /// Everything is there when it starts.
    Backlog,
    /// One transaction, and a row of another one that commits before it, so that all of it is one gap.
    Transaction,
    /// Kafka goes away, rows come, Kafka comes back.
    Outage,
}

/// How the relay took it.
struct Endured {
    peak_mib: f64,
    /// The most it held in the first and in the last third of the way.
    thirds_mib: (f64, f64),
    seconds: f64,
    /// How long a small transaction's row took while the large transaction was open.
    overtaking_s: Option<f64>,
    curve: Vec<(f64, f64)>,
}

impl Trial {
    const ALL: [Self; 3] = [Self::Backlog, Self::Transaction, Self::Outage];

    fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Transaction => "one transaction",
            Self::Outage => "Kafka away",
        }
    }

    /// An outage lasts an hour; the others are as large as anything gets.
    fn rows(self, most: i64) -> i64 {
        match self {
            Self::Backlog | Self::Transaction => most,
            Self::Outage => most / 5,
        }
    }
}

impl Endured {
    fn of(samples: &[Sample], peak_mib: f64, overtaking_s: Option<f64>) -> Self {
        let start = samples[0].at;
        let most =
            |part: &[Sample]| part.iter().map(|sample| sample.resident_mib).fold(0.0, f64::max);
        let third = samples.len().div_ceil(3);
        let seconds = |sample: &Sample| (sample.at - start).as_secs_f64();
        Self {
            peak_mib,
            thirds_mib: (most(&samples[..third]), most(&samples[samples.len() - third..])),
            seconds: samples.last().map_or(0.0, seconds),
            overtaking_s,
            curve: samples.iter().map(|sample| (seconds(sample), sample.resident_mib)).collect(),
        }
    }

    fn measures(&self) -> Vec<(&'static str, f64)> {
        let always = [
            ("peak_mib", self.peak_mib),
            ("first_third_mib", self.thirds_mib.0),
            ("last_third_mib", self.thirds_mib.1),
            ("seconds", self.seconds),
        ];
        always.into_iter().chain(self.overtaking_s.map(|time| ("overtaking_s", time))).collect()
    }
}

/// Lets the relay go through each trial. Once is enough: it is a peak that is asked for.
pub(super) async fn figure(ground: &Ground, plan: &RelayPlan) -> anyhow::Result<Figure> {
    let mut figure = Figure::new(FigureId::Memory, "the most memory the relay holds");
    let mut lines = Vec::new();
    for trial in Trial::ALL {
        let rows = trial.rows(plan.sizes().memory_rows);
        say(format!("{rows} rows: {}", trial.name()));
        let endured = endure(ground, trial, rows, plan.sizes().outage).await?;
        say(format!("{}: {:.1} MiB at most", trial.name(), endured.peak_mib));
        let name = format!("{}, {rows} rows", trial.name());
        let entry = Entry::of_runs(name.clone(), [endured.measures()]);
        figure.verdicts.push(Verdict {
            what: format!("{}: peak, MiB", trial.name()),
            spread: entry.spread("peak_mib"),
            target: Target::AtMost(BOUND_MIB),
        });
        figure.entries.push(entry);
        lines.push(Line { name, points: endured.curve });
    }
    let title = "memory held by the relay";
    figure.plots = vec![Plot::lines("memory", title, "MiB", Across::Time, lines)];
    Ok(figure)
}

async fn endure(
    ground: &Ground,
    trial: Trial,
    rows: i64,
    without_kafka: Duration,
) -> anyhow::Result<Endured> {
    let topic = ground.topic().await?;
    let url = ground.database(DATABASE).await?;
    let mut connection = connect(&url).await?;
    if let Trial::Backlog = trial {
        write(&mut connection, rows).await?;
        settle(&mut connection).await?;
    }
    let relay = Contender::Relay.start(ground, &url, None).await?;
    let mut watch = Watch::new(ground, &topic, &relay).await?;
    let mut overtaking_s = None;
    match trial {
        Trial::Backlog => {}
        Trial::Transaction => {
            overtaking_s = Some(overtake(&mut watch, &mut connection, &url, rows).await?);
        }
        Trial::Outage => {
            write(&mut connection, 1).await?;
            watch.drained(1, End::Enough).await?;
            ground.kafka().await?.stop().await?;
            watch.during(write(&mut connection, rows - 1)).await?;
            watch.during(sleep(without_kafka)).await;
            ground.kafka().await?.start().await?;
        }
    }
    watch.drained(rows, End::Enough).await?;
    let peak = watch.peak_mib().await?;
    let samples = watch.into_samples();
    relay.stop().await?;
    let records = topic.records().await.unwrap_or_default();
    ensure!(records >= rows, "{rows} rows became {records} records");
    topic.remove().await?;
    ground.drop_database(DATABASE).await?;
    Ok(Endured::of(&samples, peak, overtaking_s))
}

/// All but two rows in one transaction, which one that begins later overtakes. Answers how long that one's row took.
async fn overtake(
    watch: &mut Watch<'_>,
    connection: &mut PgConnection,
    url: &str,
    rows: i64,
) -> anyhow::Result<f64> {
    write(connection, 1).await?;
    watch.drained(1, End::Enough).await?;
    let mut large = connect(url).await?;
    large.execute("BEGIN").await?;
    let all_but_two = Rows { topic: TOPIC, count: rows - 2, per_transaction: rows };
    watch.during(all_but_two.write_in_one(&mut large)).await?;
    write(connection, 1).await?;
    let written_at = Instant::now();
    watch.drained(2, End::Enough).await?;
    let took = written_at.elapsed().as_secs_f64();
    say(format!("a small transaction took {took:.2} s past the large one, which commits now"));
    large.execute("COMMIT").await?;
    Ok(took)
}

async fn write(connection: &mut PgConnection, count: i64) -> anyhow::Result<()> {
    Rows { topic: TOPIC, count, per_transaction: PER_TRANSACTION }.write(connection).await
}
