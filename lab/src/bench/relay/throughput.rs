//! P-1 to P-3 as figures, from the drains.

use super::{
    contender::Contender,
    drain::{Drained, Drains, HUNDREDS, SINGLES},
    figure::{Entry, Figure, Target, Verdict},
    options::{FigureId, RelayPlan},
    plot::{Across, Bar, Line, Plot},
    rival::Tuning,
};

const DEBEZIUM: Contender = Contender::Debezium(Tuning::Rate);

/// What counts as bounded memory: that of P-5.
pub(super) const BOUND_MIB: f64 = 64.0;

/// The figures asked for.
pub(super) fn figures(drains: &Drains, plan: &RelayPlan) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(plan.has(FigureId::Drain).then(|| at_least_once(drains)));
    figures.extend(plan.has(FigureId::ExactlyOnce).then(|| exactly_once(drains)));
    figures.extend(plan.has(FigureId::Debezium).then(|| debezium(drains)));
    figures
}

fn at_least_once(drains: &Drains) -> Figure {
    let mut figure = Figure::new(FigureId::Drain, "draining a backlog, at least once");
    let relay = entry(drains, SINGLES, Contender::Relay);
    let bare = entry(drains, SINGLES, Contender::Bare);
    figure.verdicts = vec![
        ratio("rate, of the bare pipeline's", &relay, &bare, "events_per_s", Target::AtLeast(0.85)),
        ratio(
            "CPU of all three, of the bare pipeline's",
            &relay,
            &bare,
            "together_us",
            Target::AtMost(1.15),
        ),
    ];
    figure.entries = vec![bare, relay];
    plot(&mut figure, drains, &[(SINGLES, Contender::Bare), (SINGLES, Contender::Relay)]);
    figure
}

fn exactly_once(drains: &Drains) -> Figure {
    let mut figure = Figure::new(FigureId::ExactlyOnce, "draining a backlog, exactly once");
    let once = entry(drains, SINGLES, Contender::ExactlyOnce);
    let relay = entry(drains, SINGLES, Contender::Relay);
    figure.verdicts = vec![
        ratio("rate, of at least once's", &once, &relay, "events_per_s", Target::AtLeast(0.75)),
        Verdict {
            what: "peak memory, MiB".to_owned(),
            spread: once.spread("peak_mib"),
            target: Target::AtMost(BOUND_MIB),
        },
    ];
    figure.entries = vec![relay, once];
    plot(&mut figure, drains, &[(SINGLES, Contender::Relay), (SINGLES, Contender::ExactlyOnce)]);
    figure
}

fn debezium(drains: &Drains) -> Figure {
    let mut figure = Figure::new(FigureId::Debezium, "draining a backlog, against Debezium Server");
    if let Some(why) = &drains.no_debezium {
        figure.notes.push(format!("not measured: {why}"));
        return figure;
    }
    let relay = entry(drains, SINGLES, Contender::Relay);
    let rival = entry(drains, SINGLES, DEBEZIUM);
    figure.verdicts = [
        ("rate, of Debezium's", "events_per_s", Target::AtLeast(3.5)),
        ("peak memory, of Debezium's", "peak_mib", Target::AtMost(1.0 / 8.0)),
        ("CPU of its process, of Debezium's", "process_us", Target::AtMost(1.0 / 4.0)),
        ("CPU of all three, of Debezium's", "together_us", Target::AtMost(1.0 / 4.0)),
    ]
    .into_iter()
    .map(|(what, measure, target)| ratio(what, &relay, &rival, measure, target))
    .collect();
    let shown = [
        (SINGLES, Contender::Relay),
        (SINGLES, DEBEZIUM),
        (HUNDREDS, Contender::Relay),
        (HUNDREDS, DEBEZIUM),
    ];
    for (per_transaction, contender) in shown {
        let mut entry = entry(drains, per_transaction, contender);
        entry.name = format!("{}, {per_transaction} a transaction", entry.name);
        figure.entries.push(entry);
    }
    plot(&mut figure, drains, &shown);
    figure
}

fn entry(drains: &Drains, per_transaction: i64, contender: Contender) -> Entry {
    let runs = drains.by.get(&(per_transaction, contender)).into_iter().flatten();
    Entry::of_runs(contender.name(), runs.map(Drained::measures))
}

fn ratio(what: &str, one: &Entry, other: &Entry, measure: &str, target: Target) -> Verdict {
    let spread = one.spread(measure).over(&other.spread(measure));
    Verdict { what: what.to_owned(), spread, target }
}

/// How the last run of each went, and what an event of each costs.
fn plot(figure: &mut Figure, drains: &Drains, shown: &[(i64, Contender)]) {
    let lines = shown.iter().zip(&figure.entries).map(|(key, entry)| Line {
        name: entry.name.clone(),
        points: drains
            .by
            .get(key)
            .and_then(|drains| drains.last())
            .map(|drained| drained.curve.clone())
            .unwrap_or_default(),
    });
    let bars = figure.entries.iter().map(|entry| Bar {
        name: entry.name.clone(),
        parts: ["process_us", "postgres_us", "kafka_us"]
            .map(|measure| (measure.trim_end_matches("_us"), entry.spread(measure).median()))
            .to_vec(),
    });
    let title = "records on Kafka, last run";
    figure.plots = vec![
        Plot::lines("drained", title, "millions", Across::Time, lines.collect()),
        Plot::bars("cpu", "processor time an event, median", "microseconds", bars.collect()),
    ];
}
