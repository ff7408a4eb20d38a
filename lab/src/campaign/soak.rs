//! Many rounds, several at once.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{Stream, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Arena, Delivery, Fault, Plan, Report, RoundError, Subject, Summary, round};
use crate::{
    bench::Output,
    output::say,
    processes, signals,
    stack::{Stack, StackOptions},
};

/// What a long campaign consists of.
#[derive(Clone, Debug, clap::Args)]
pub struct SoakOptions {
    /// Rounds of each fault and delivery.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// Minutes after which no round is begun any more, however many rounds there were; at most a year.
    #[arg(
        long,
        value_name = "MINUTES",
        conflicts_with = "rounds",
        value_parser = clap::value_parser!(u64).range(1..=525_600)
    )]
    pub minutes: Option<u64>,
    /// The seed of the first round; each further one has the next.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this delivery.
    #[arg(long, value_enum)]
    pub delivery: Option<Delivery>,
    /// Only this fault, which may be given several times: a fail point, relay.killed, relay.paused, relay.cut,
    /// kafka.killed, kafka.paused or postgres.stopped. Without it, every fail point.
    #[arg(long = "point", value_name = "NAME")]
    pub points: Vec<Fault>,
    /// Rounds played at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: u16,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl SoakOptions {
    /// One round of each fault with each delivery that has it, seed after seed.
    fn plans(&self) -> impl Iterator<Item = Plan> + use<> {
        let faults: Vec<_> =
            if self.points.is_empty() { Fault::points().collect() } else { self.points.clone() };
        let deliveries = self.delivery.map_or(Delivery::ALL.to_vec(), |delivery| vec![delivery]);
        let rounds = if self.minutes.is_some() { u64::MAX } else { self.rounds };
        let first = self.seed;
        let subjects: Vec<_> = faults
            .into_iter()
            .flat_map(|fault| {
                let applicable =
                    deliveries.iter().filter(move |delivery| fault.applies_to(**delivery));
                applicable
                    .map(move |delivery| Subject::Relay { delivery: *delivery, fault })
                    .collect::<Vec<_>>()
            })
            .collect();
        (0..rounds).flat_map(move |round| {
            let seed = first.wrapping_add(round);
            subjects.clone().into_iter().map(move |subject| Plan { subject, seed })
        })
    }
}

/// Plays `plans`, `parallel` at a time; the reports come as the rounds end.
pub fn rounds(
    arena: &Arena<'_>,
    plans: impl Iterator<Item = Plan>,
    parallel: usize,
) -> impl Stream<Item = Result<Report, RoundError>> {
    futures::stream::iter(plans.map(move |plan| Box::pin(round(arena, plan))))
        .buffer_unordered(parallel)
}

/// Plays a long campaign, up to its end or Ctrl-C, and prints what it has shown.
///
/// # Errors
/// If it cannot be played, if anything is wrong in any round, if a fault did not happen in one, or if it is stopped before it has
/// shown anything.
pub async fn soak(options: SoakOptions) -> anyhow::Result<()> {
    processes::build().await?;
    let stack = Stack::start(StackOptions::default()).await?;
    let (summary, played) = play(&stack, &options).await?;
    let told = match options.output {
        Output::Text => say(summary.to_string().trim_end()),
        Output::Json => say(summary.json()),
    };
    stack.stop().await?;
    let bad = summary.bad().count();
    ensure!(bad == 0, "{bad} rounds are bad");
    ensure!(played > 0, "stopped before a round was over");
    let missed = summary.not_reached();
    let missed: Vec<_> =
        missed.iter().map(|(subject, rounds)| format!("{subject} in {rounds} rounds")).collect();
    ensure!(missed.is_empty(), "not reached: {}", missed.join(", "));
    Ok(told?)
}

/// Answers how many rounds were played, too.
async fn play(stack: &Stack, options: &SoakOptions) -> Result<(Summary, u64), RoundError> {
    let end = options.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let plans = options.plans().take_while(|_| end.is_none_or(|end| Instant::now() < end));
    let arena = Arena::new(stack);
    let bar = progress_bar(options);
    let (mut summary, mut played) = (Summary::default(), 0);
    let mut reports = std::pin::pin!(rounds(&arena, plans, options.parallel.into()));
    let mut stop = std::pin::pin!(signals::stop_requested());
    loop {
        let report = tokio::select! {
            report = reports.try_next() => report?,
            _ = &mut stop => None,
        };
        let Some(report) = report else { break };
        bar.inc(1);
        played += 1;
        if !report.is_good() {
            bar.suspend(|| eprintln!("{report}"));
        }
        summary.add(report);
    }
    bar.finish_and_clear();
    Ok((summary, played))
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(options: &SoakOptions) -> ProgressBar {
    let bar = match options.minutes {
        Some(_) => ProgressBar::new_spinner(),
        None => ProgressBar::new(options.plans().count() as u64),
    };
    let template = "{spinner} {pos}/{len} rounds, {elapsed_precise}, {per_sec} {wide_bar}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
