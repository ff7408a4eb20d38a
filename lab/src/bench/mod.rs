//! Measures the whole system: how long an order's saga takes at a steady rate, how many orders a second it takes at
//! most, and how much memory its processes then hold.

mod completions;
mod figures;
mod load;

pub use figures::Figures;
pub use load::BenchError;

use std::time::{Duration, Instant};

use completions::Completions;
use load::Load;

use crate::{
    stack::{Stack, StackOptions},
    system::System,
};

/// How much load is put on.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Plan {
    /// Orders per second of the part that measures latency.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Seconds that part lasts.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Orders of the part that measures throughput.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub orders: u32,
    /// Callers of that part, each with one order under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub callers: u32,
}

const SETTLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Starts a system whose data is durable, measures it, prints the figures, and stops it.
///
/// # Errors
/// If the system does not start, or as [`measure`].
pub async fn saga(plan: Plan, json: bool) -> anyhow::Result<()> {
    let stack = Stack::start(StackOptions { durable: true, ..StackOptions::default() }).await?;
    let system = System::start(&stack).await?;
    let figures = measure(&system, plan).await?;
    if json {
        println!("{}", figures.json());
    } else {
        print!("{figures}");
    }
    drop(system);
    Ok(stack.stop().await?)
}

/// Puts the load of `plan` on `system` and waits until each saga has completed.
///
/// # Errors
/// [`BenchError`] if an order is refused, or if its saga does not complete within ten minutes.
pub async fn measure(system: &System, plan: Plan) -> Result<Figures, BenchError> {
    let completions = Completions::observe(system.kafka().brokers())?;
    let load = Load::new(system.store_manager.channel());
    load.fill_stock().await?;
    load.warm_up(&completions).await?;

    let steady = load.at_rate(plan.rate, plan.seconds).await?;
    let completed = completions.wait_for(&steady, SETTLE_TIMEOUT).await?;
    let latencies = steady
        .iter()
        .map(|order| completed[&order.order_id].saturating_duration_since(order.called_at))
        .collect();

    let started_at = Instant::now();
    let burst = load.with_callers(plan.callers, plan.orders).await?;
    let accepted_in = started_at.elapsed();
    let completed = completions.wait_for(&burst, SETTLE_TIMEOUT).await?;
    let last = completed.values().max().copied().unwrap_or(started_at);
    Ok(Figures {
        plan,
        latencies,
        accepted_in,
        completed_in: last.saturating_duration_since(started_at),
        resident: figures::resident(system).await,
    })
}
