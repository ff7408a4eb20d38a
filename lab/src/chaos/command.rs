//! `lab chaos`: rounds one after the other, a page for each, and what all of them have covered.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::{
    ChaosError, Coverage, Plan, Relay, Report, covering,
    faults::{catalogue, named},
    round,
    shrink::shrink,
};
use crate::{
    bench::Output,
    campaign::Delivery,
    processes, signals,
    stack::{Debezium, Stack, StackOptions},
};

/// What a campaign consists of.
#[derive(Clone, Debug, clap::Args)]
pub struct ChaosOptions {
    /// The seed of the first round; each further one has the next.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many rounds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// Minutes after which no round is begun any more, however many rounds there were.
    #[arg(long, value_name = "MINUTES", conflicts_with = "rounds")]
    pub minutes: Option<u64>,
    /// The rounds have every fault there is between them.
    #[arg(long, conflicts_with_all = ["minutes", "faults", "delivery", "relay"])]
    pub cover: bool,
    /// Only these faults, which may be given several times, in each round. Without it, those that the seed draws.
    #[arg(long = "fault", value_name = "NAME")]
    pub faults: Vec<String>,
    /// How the relay delivers. Without it, as the seed draws it.
    #[arg(long, value_enum)]
    pub delivery: Option<Delivery>,
    /// Who carries events to Kafka.
    #[arg(long, value_enum, default_value_t)]
    pub relay: Relay,
    /// Name all faults, and do nothing.
    #[arg(long)]
    pub list: bool,
    /// Of a round that fails, do not look for the smallest schedule that still fails.
    #[arg(long)]
    pub no_shrink: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl ChaosOptions {
    fn plans(&self) -> Result<Vec<Plan>, ChaosError> {
        if self.cover {
            return Ok(covering(self.seed, usize::try_from(self.rounds).unwrap_or(1)));
        }
        (0..self.rounds).map(|round| self.plan(round)).collect()
    }

    fn plan(&self, round: u64) -> Result<Plan, ChaosError> {
        let seed = self.seed.wrapping_add(round);
        let drawn = Plan::of(seed, self.delivery, self.relay);
        if self.faults.is_empty() {
            return Ok(drawn);
        }
        let faults = self.faults.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?;
        for fault in &faults {
            let is_possible = fault.applies_to(drawn.delivery)
                && fault.only_with().is_none_or(|only| only == self.relay);
            if !is_possible {
                return Err(ChaosError::Impossible(fault.name()));
            }
        }
        Ok(Plan { relay: self.relay, ..Plan::with(seed, drawn.delivery, faults) })
    }
}

/// Plays a campaign, up to its end or Ctrl-C, and prints what it has shown.
///
/// # Errors
/// If it cannot be played, or a promise is broken.
pub async fn run(options: ChaosOptions) -> anyhow::Result<()> {
    if options.list {
        catalogue(options.relay).iter().for_each(|fault| println!("{}", fault.name()));
        return Ok(());
    }
    if options.relay == Relay::Debezium
        && let Err(error) = Debezium::available().await
    {
        println!("skipped: {:#}", anyhow::Error::from(error));
        return Ok(());
    }
    let end = options.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    processes::build().await?;
    let stack = Stack::start_postgres_only(StackOptions::default()).await?;
    if let Output::Text = options.output {
        println!("directory  {}", stack.directory().display());
        println!("Ctrl-C stops the campaign");
    }
    let mut coverage = Coverage::default();
    let mut bad = 0;
    let mut stop = std::pin::pin!(signals::stop_requested());
    let mut plans: Box<dyn Iterator<Item = Result<Plan, ChaosError>>> = match end {
        Some(end) => {
            let options = options.clone();
            Box::new(
                (0..)
                    .take_while(move |_| Instant::now() < end)
                    .map(move |round| options.plan(round)),
            )
        }
        None => Box::new(options.plans()?.into_iter().map(Ok)),
    };
    while let Some(plan) = plans.next().transpose()? {
        let report = tokio::select! {
            report = Box::pin(played(&stack, &plan, &options)) => report?,
            _ = &mut stop => break,
        };
        coverage.merge(&report.coverage);
        bad += usize::from(!report.is_good());
    }
    match options.output {
        Output::Text => print!("{coverage}"),
        Output::Json => println!("{}", json!({ "coverage": coverage.json(), "bad": bad })),
    }
    stack.stop().await?;
    ensure!(bad == 0, "{bad} rounds are bad");
    Ok(())
}

/// Plays and prints a round; of one that fails, the smallest schedule too.
async fn played(stack: &Stack, plan: &Plan, options: &ChaosOptions) -> Result<Report, ChaosError> {
    let report = Box::pin(round(stack, plan)).await?;
    print(&report, options.output);
    if !report.is_good() && !options.no_shrink && plan.strikes.len() > 1 {
        let smallest = shrink(stack, report.clone()).await?;
        if let Output::Text = options.output {
            println!("the smallest schedule found that still fails:");
        }
        print(&smallest, options.output);
    }
    Ok(report)
}

fn print(report: &Report, output: Output) {
    match output {
        Output::Text => println!("{report}"),
        Output::Json => println!("{}", report.json()),
    }
}
