//! P-4 as a figure, from what the carriers showed.

use super::{
    contender::Contender,
    figure::{Entry, Figure, Target, Verdict},
    ground::Ground,
    latency::{Carried, Carrier, carry},
    options::{FigureId, RelayPlan},
    plot::{Across, Line, Plot},
    rival::{Rival, Tuning},
    say,
};

/// The shares of events whose latency the plot shows.
const SHOWN: [f64; 12] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999];

type Runs = (Carrier, Vec<Carried>);

/// Measures all carriers, one after the other in each run.
pub(super) async fn figure(ground: &Ground, plan: &RelayPlan) -> anyhow::Result<Figure> {
    let title = "from commit to consumer at 500 events/s, and idle";
    let mut figure = Figure::new(FigureId::Latency, title);
    let mut carriers = vec![Carrier::RoundTrip, Carrier::Outbox(Contender::Relay)];
    let rival = Rival::wanted(plan).await;
    match &rival {
        Ok(_) => carriers.push(Carrier::Outbox(Contender::Debezium(Tuning::Latency))),
        Err(why) => figure.notes.push(format!("Debezium is not measured: {why}")),
    }
    let sizes = plan.sizes();
    let mut all: Vec<Runs> = carriers.into_iter().map(|carrier| (carrier, Vec::new())).collect();
    for run in 1..=sizes.runs {
        for (carrier, runs) in &mut all {
            let carried = carry(ground, sizes, *carrier, rival.as_ref().ok()).await?;
            let (name, p50, p99) = (carrier.name(), carried.ms(0.5), carried.ms(0.99));
            say(format!("run {run} of {}: {name}: p50 {p50:.2} ms, p99 {p99:.2} ms", sizes.runs));
            runs.push(carried);
        }
    }
    figure.entries = all.iter().map(entry).collect();
    figure.verdicts = verdicts(&figure.entries[0], &figure.entries[1]);
    figure.plots = vec![Plot::lines(
        "latency",
        "latency not exceeded, last run",
        "milliseconds",
        Across::Rareness,
        all.iter().map(line).collect(),
    )];
    Ok(figure)
}

fn entry((carrier, runs): &Runs) -> Entry {
    Entry::of_runs(carrier.name(), runs.iter().map(Carried::measures))
}

fn verdicts(round_trip: &Entry, relay: &Entry) -> Vec<Verdict> {
    let beyond = |what: &str, measure, bound| Verdict {
        what: what.to_owned(),
        spread: relay.spread(measure).minus(&round_trip.spread(measure)),
        target: Target::AtMost(bound),
    };
    vec![
        beyond("p50 beyond the round trip's, ms", "p50_ms", 1.0),
        beyond("p99 beyond the round trip's, ms", "p99_ms", 4.0),
        Verdict {
            what: "CPU of the idle relay, s/min".to_owned(),
            spread: relay.spread("idle_process_s_per_min"),
            target: Target::AtMost(0.3),
        },
    ]
}

fn line((carrier, runs): &Runs) -> Line {
    let points = runs
        .last()
        .into_iter()
        .flat_map(|last| SHOWN.iter().map(|share| (-(1.0 - share).log10(), last.ms(*share))));
    Line { name: carrier.name().to_owned(), points: points.collect() }
}
