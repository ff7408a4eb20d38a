//! Measures the [relay](relay) by itself, and the whole system: how long an order's saga takes at a steady rate, how many orders a second it takes at
//! most, and how much memory its processes then hold.

mod completions;
mod figures;
mod load;
pub mod relay;

pub use figures::Figures;
pub use load::BenchError;

use std::time::Instant;

use completions::Completions;
use load::Load;

use crate::{
    output::say,
    stack::{Stack, StackOptions},
    system::System,
};

/// How figures are printed.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

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

/// Fills pools, plans and caches, so that they are not what is measured.
const WARM_UP_ORDERS: u32 = 500;
const WARM_UP_CALLERS: u32 = 8;

/// Starts a system whose data is durable, measures it, prints the figures, and stops it.
///
/// # Errors
/// If the system does not start, or as [`measure`].
pub async fn saga(plan: Plan, output: Output) -> anyhow::Result<()> {
    let stack = Stack::start(StackOptions { durable: true, ..StackOptions::default() }).await?;
    let system = System::start(&stack).await?;
    let figures = measure(&system, plan).await?;
    drop(system);
    stack.stop().await?;
    match output {
        Output::Text => say(figures.to_string().trim_end())?,
        Output::Json => say(figures.json())?,
    }
    Ok(())
}

/// Puts the load of `plan` on `system` and waits until each saga has completed.
///
/// # Errors
/// [`BenchError`] if an order is refused, or if sagas stop completing.
pub async fn measure(system: &System, plan: Plan) -> Result<Figures, BenchError> {
    let completions = Completions::open(system.kafka().brokers()).await?;
    let load = Load::new(system.store_manager.channel());
    load.fill_stock().await?;
    let warm_up = load.with_callers(WARM_UP_CALLERS, WARM_UP_ORDERS);
    tokio::try_join!(warm_up, completions.next(WARM_UP_ORDERS as usize))?;

    let count = plan.rate as usize * plan.seconds as usize;
    let steady = load.at_rate(plan.rate, plan.seconds);
    let (placed, completed) = tokio::try_join!(steady, completions.next(count))?;
    let latencies = placed
        .iter()
        .map(|order| completed[&order.order_id].saturating_duration_since(order.called_at))
        .collect();

    let started_at = Instant::now();
    let burst =
        async { load.with_callers(plan.callers, plan.orders).await.map(|_| started_at.elapsed()) };
    let (accepted_in, _) = tokio::try_join!(burst, completions.next(plan.orders as usize))?;
    let completed_in = started_at.elapsed();
    let resident = figures::resident(system).await;
    Ok(Figures { plan, latencies, accepted_in, completed_in, resident })
}
