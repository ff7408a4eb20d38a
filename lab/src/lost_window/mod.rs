//! What if the process stops after the order's commit and before its event is out?
//!
//! Two stores take the same orders and are killed at the same moments, side by side: one that commits and then publishes straight to
//! Kafka ([`Flaw::DualWrite`](crate::naive::Flaw)), and ours, which has an outbox. Then both are left in peace, and what each
//! has lost is counted.

mod dual_write;
mod error;
mod outbox;
mod plan;
mod report;
mod tally;

use anyhow::{bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

pub use error::LostWindowError;
pub use plan::{Kill, Moment, kills};
pub use report::{Outcome, Report};
pub use tally::Tally;

use crate::{
    bench::Output,
    output::say,
    signals,
    stack::{Stack, StackOptions},
};

/// How often, and how.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LostWindowOptions {
    /// How often each store is killed, once with each order, in equal parts after each commit of the road.
    #[arg(
        long,
        default_value_t = 30,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub kills: u32,
    /// What the orders and the moments are drawn from.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub seed: u64,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Plays both, prints what became of the orders, and stops all that it has started.
///
/// # Errors
/// If it cannot be played, if it is stopped before it has shown anything, or if the store with the outbox has lost anything.
pub async fn run(options: LostWindowOptions) -> anyhow::Result<()> {
    tokio::select! {
        shown = Box::pin(show(options)) => shown,
        stopped = signals::stop_requested() => {
            stopped?;
            bail!("stopped before a kill was judged")
        }
    }
}

async fn show(options: LostWindowOptions) -> anyhow::Result<()> {
    let stack = Stack::start_postgres_only(StackOptions::default()).await?;
    let report = Box::pin(play(&stack, options.seed, options.kills)).await?;
    let told = match options.output {
        Output::Text => say(report.to_string().trim_end()),
        Output::Json => say(report.json()),
    };
    stack.stop().await?;
    ensure!(report.outbox.is_whole(), "the store with the outbox is not whole");
    Ok(told?)
}

/// Kills both stores `count` times.
///
/// # Errors
/// If one of them cannot be started or killed.
pub async fn play(stack: &Stack, seed: u64, count: u32) -> Result<Report, LostWindowError> {
    let kills = kills(seed, count);
    let bar = progress_bar(count);
    let dual_write = Box::pin(dual_write::play(stack, &kills, &bar));
    let outbox = Box::pin(outbox::play(stack, &kills, &bar));
    let played = tokio::try_join!(dual_write, outbox);
    bar.finish_and_clear();
    let (dual_write, outbox) = played?;
    Ok(Report { seed, kills: count, dual_write, outbox })
}

/// A bar on a terminal, nothing elsewhere. It counts the kills of both.
fn progress_bar(count: u32) -> ProgressBar {
    let bar = ProgressBar::new(2 * u64::from(count));
    if let Ok(style) =
        ProgressStyle::with_template("{pos}/{len} kills, {elapsed_precise} {wide_bar}")
    {
        bar.set_style(style);
    }
    bar
}
