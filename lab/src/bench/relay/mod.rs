//! Measures the relay against yardsticks of the same run: what the machine, PostgreSQL and Kafka could do at best, and what
//! Debezium Server does. `docs/benchmarks.md` says how to read it.
//!
//! - [`throughput`] is P-1 to P-3, from the runs of [`drain`]; [`delay`] is P-4, from the runs of [`latency`].
//! - [`memory`] is P-5, [`writer_tax`] with the transaction of [`orders`] is P-7.
//! - [`ground`]: the servers all of it stands on; [`contender`]: who is measured, [`bare`] and [`rival`] besides the relay.
//! - [`figure`], [`report`], [`plot`]: what comes of it.

mod arrivals;
mod bare;
mod contender;
mod cpu;
mod delay;
mod drain;
mod figure;
mod ground;
mod latency;
mod machine;
mod memory;
mod options;
mod orders;
mod plot;
mod report;
mod rival;
mod rows;
mod steady;
mod throughput;
mod topic;
mod watch;
mod writer_tax;

pub use bare::{BareOptions, bare_pipeline};
pub use options::{FigureId, RelayPlan};

use super::Output;
use ground::Ground;
use report::Report;

/// Measures the figures asked for, writes the report and its plots, and prints it.
///
/// # Errors
/// If a server or a contender does not start, stops on its way, or loses or repeats a row.
pub async fn relay(plan: RelayPlan, output: Output) -> anyhow::Result<()> {
    let ground = Ground::prepare(&plan.relay_args).await?;
    let machine = machine::describe(&ground).await?;
    let mut figures = Vec::new();
    if [FigureId::Drain, FigureId::ExactlyOnce, FigureId::Debezium].iter().any(|id| plan.has(*id)) {
        let drains = Box::pin(drain::measure(&ground, &plan)).await?;
        figures.extend(throughput::figures(&drains, &plan));
    }
    if plan.has(FigureId::Latency) {
        figures.push(Box::pin(delay::figure(&ground, &plan)).await?);
    }
    if plan.has(FigureId::Memory) {
        figures.push(Box::pin(memory::figure(&ground, &plan)).await?);
    }
    if plan.has(FigureId::WriterTax) {
        figures.push(Box::pin(writer_tax::figure(&ground, &plan)).await?);
    }
    ground.stop().await?;
    let report = Report { machine, arguments: std::env::args().skip(1).collect(), figures };
    report.write(&plan.out)?;
    match output {
        Output::Text => crate::output::say(format!("{report}\n{}", plan.out.display()))?,
        Output::Json => crate::output::say(report.json())?,
    }
    Ok(())
}

/// Tells how far it is, beside the output.
fn say(what: impl AsRef<str>) {
    eprintln!("{}", what.as_ref());
}
