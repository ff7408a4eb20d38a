//! P-1 to P-3: how fast a backlog gets to Kafka, and what that costs.
//!
//! All contenders of a run drain the same rows, one after the other, each to an empty topic. The first fifth is not measured.

use std::collections::BTreeMap;

use anyhow::ensure;

use super::{
    contender::Contender,
    ground::{Backlog, Ground},
    machine,
    options::{FigureId, RelayPlan, Sizes},
    rival::{Rival, Tuning},
    say,
    watch::{End, Sample, Watch},
};

/// How many rows each transaction of a backlog wrote.
pub(super) const SINGLES: i64 = 1;
pub(super) const HUNDREDS: i64 = 100;

/// All drains of a run of the program, by rows per transaction and contender.
#[derive(Default)]
pub(super) struct Drains {
    pub(super) by: BTreeMap<(i64, Contender), Vec<Drained>>,
    /// Why there was no Debezium.
    pub(super) no_debezium: Option<String>,
}

/// One drain, measured.
pub(super) struct Drained {
    events_per_s: f64,
    /// Processor time an event, in microseconds.
    process_us: f64,
    postgres_us: f64,
    kafka_us: f64,
    peak_mib: f64,
    headers: f64,
    /// How much of the machine was busy with something else.
    others_percent: f64,
    /// Seconds, and millions of records there by then.
    pub(super) curve: Vec<(f64, f64)>,
}

impl Drained {
    pub(super) fn measures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("events_per_s", self.events_per_s),
            ("process_us", self.process_us),
            ("postgres_us", self.postgres_us),
            ("kafka_us", self.kafka_us),
            ("together_us", self.process_us + self.postgres_us + self.kafka_us),
            ("peak_mib", self.peak_mib),
            ("headers", self.headers),
            ("others_percent", self.others_percent),
        ]
    }

    /// What the samples of a drain of `rows` rows show of all but the first `warm_up`.
    fn of(samples: &[Sample], rows: i64, warm_up: i64, peak_mib: f64, headers: usize) -> Self {
        let (first, last) = (samples[0], samples[samples.len() - 1]);
        // Transactions leave marks, evenly, which offsets count too.
        let scale = rows as f64 / last.records as f64;
        let warm =
            samples.partition_point(|sample| sample.records as f64 * scale <= warm_up as f64);
        let start = samples[warm.saturating_sub(1)];
        let events = (last.records - start.records) as f64 * scale;
        let elapsed = (last.at - start.at).as_secs_f64();
        let cpu = last.cpu.since(start.cpu);
        let us = |time: std::time::Duration| time.as_secs_f64() * 1e6 / events;
        let others = cpu.machine.saturating_sub(cpu.together()).as_secs_f64();
        let curve = |sample: &Sample| {
            ((sample.at - first.at).as_secs_f64(), sample.records as f64 * scale / 1e6)
        };
        Self {
            events_per_s: events / elapsed,
            process_us: us(cpu.process),
            postgres_us: us(cpu.postgres),
            kafka_us: us(cpu.kafka),
            peak_mib,
            headers: headers as f64,
            others_percent: others / elapsed / machine::cores() * 100.0,
            curve: samples.iter().map(curve).collect(),
        }
    }
}

/// Runs every drain that the figures asked for need.
pub(super) async fn measure(ground: &Ground, plan: &RelayPlan) -> anyhow::Result<Drains> {
    let mut drains = Drains::default();
    let (at_least_once, debezium) = (Contender::Relay, Contender::Debezium(Tuning::Rate));
    let mut singles = vec![at_least_once];
    singles.extend(plan.has(FigureId::Drain).then_some(Contender::Bare));
    singles.extend(plan.has(FigureId::ExactlyOnce).then_some(Contender::ExactlyOnce));
    let rival = if plan.has(FigureId::Debezium) {
        let wanted = Rival::wanted(plan).await;
        wanted.map_err(|why| drains.no_debezium = Some(why)).ok()
    } else {
        None
    };
    singles.extend(rival.is_some().then_some(debezium));
    let turns = Turns { ground, sizes: plan.sizes(), rival: rival.as_ref() };
    turns.take(SINGLES, &singles, &mut drains).await?;
    if rival.is_some() {
        turns.take(HUNDREDS, &[at_least_once, debezium], &mut drains).await?;
    }
    Ok(drains)
}

/// What every drain needs.
struct Turns<'a> {
    ground: &'a Ground,
    sizes: Sizes,
    rival: Option<&'a Rival>,
}

impl Turns<'_> {
    /// Lets each of `contenders` drain one backlog, as often as asked.
    async fn take(
        &self,
        per_transaction: i64,
        contenders: &[Contender],
        drains: &mut Drains,
    ) -> anyhow::Result<()> {
        let Sizes { runs, rows, warm_up_rows, .. } = self.sizes;
        let rows = rows + warm_up_rows;
        say(format!("writing {rows} rows, {per_transaction} a transaction"));
        let before = async |url: &str| match self.rival {
            Some(rival) => rival.keep_log(url).await,
            None => Ok(()),
        };
        let backlog = Backlog::fill(self.ground, rows, per_transaction, before).await?;
        say("draining once, not measured: the broker compiles while it runs");
        self.drain(&backlog, Contender::Bare).await?;
        let mut contenders = contenders.to_vec();
        for run in 1..=runs {
            // Whoever comes first meets the coldest broker.
            contenders.rotate_left(1);
            for &contender in &contenders {
                let drained = self.drain(&backlog, contender).await?;
                let (name, rate) = (contender.name(), drained.events_per_s);
                say(format!("run {run} of {runs}: {name}: {rate:.0} events/s"));
                drains.by.entry((per_transaction, contender)).or_default().push(drained);
            }
        }
        backlog.remove(self.ground).await
    }

    async fn drain(&self, backlog: &Backlog, contender: Contender) -> anyhow::Result<Drained> {
        let topic = self.ground.topic().await?;
        let running = contender.start(self.ground, &backlog.url, self.rival).await?;
        let end = if contender == Contender::ExactlyOnce { End::Quiet } else { End::Enough };
        let mut watch = Watch::new(self.ground, &topic, &running).await?;
        watch.drained(backlog.rows, end).await?;
        let peak = watch.peak_mib().await?;
        let samples = watch.into_samples();
        running.stop().await?;
        // A drain that lost or repeated something is not one to be measured.
        let records = match end {
            End::Quiet => topic.count().await?,
            End::Enough => topic.records().await.unwrap_or_default(),
        };
        ensure!(records == backlog.rows, "{} rows became {records} records", backlog.rows);
        let headers = topic.headers().await?;
        topic.remove().await?;
        Ok(Drained::of(&samples, backlog.rows, self.sizes.warm_up_rows, peak, headers))
    }
}
