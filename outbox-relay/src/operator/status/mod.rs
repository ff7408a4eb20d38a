//! `status`: how each source does, from the database and the progress topic.

mod look;
mod report;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use tokio::time::{Instant, sleep_until};

use crate::operator::Verdict;
use crate::operator::arguments::{DatabaseArgs, ProgressArgs};
use crate::operator::error::CommandError;
use crate::operator::output::{OutputArgs, now, print_line};
use crate::sources::SourceAddress;

use look::{Sample, look, sample};
use report::{SourceStatus, StatusReport};

/// How long a rate is measured where nobody watches.
const MEASURED: Duration = Duration::from_secs(1);

/// Clears a terminal and goes to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Options of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusOptions {
    /// Which sources.
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where their progress is.
    #[command(flatten)]
    progress: ProgressArgs,
    /// How it is told.
    #[command(flatten)]
    output: OutputArgs,
    /// Look again and again, until interrupted.
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks.
    #[arg(long, env = "RELAY_WATCH_SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

/// Tells how the sources do.
pub(crate) async fn status(options: &StatusOptions) -> Result<Verdict, CommandError> {
    let sources = options.database.all()?;
    if options.watch {
        return watch(options, &sources).await;
    }
    // A rate wants two looks.
    let measured = Instant::now() + MEASURED;
    let before = samples(options, &sources).await;
    sleep_until(measured).await;
    let (report, _) = report(options, &sources, &before).await;
    options.output.print(&report)?;
    Ok(if report.has_trouble() { Verdict::Trouble } else { Verdict::Fine })
}

async fn watch(
    options: &StatusOptions,
    sources: &[SourceAddress],
) -> Result<Verdict, CommandError> {
    let mut before: Vec<Option<Sample>> = sources.iter().map(|_| None).collect();
    loop {
        let next = Instant::now() + Duration::from_secs(options.every);
        let (report, samples) = report(options, sources, &before).await;
        before = samples;
        if options.output.is_json() {
            options.output.print(&report)?;
        } else if io::stdout().is_terminal() {
            print_line(&format!("{CLEAR}{}\n\n{report}", now()))?;
        } else {
            for source in &report.sources {
                print_line(&format!("{} {}", now(), source.line()))?;
            }
        }
        sleep_until(next).await;
    }
}

async fn samples(options: &StatusOptions, sources: &[SourceAddress]) -> Vec<Option<Sample>> {
    join_all(sources.iter().map(async |source| sample(source, &options.progress).await.ok())).await
}

/// Looks at all sources at once; `before` is what was seen of each the last time.
async fn report(
    options: &StatusOptions,
    sources: &[SourceAddress],
    before: &[Option<Sample>],
) -> (StatusReport, Vec<Option<Sample>>) {
    let looks = sources.iter().zip(before).map(async |(source, before)| {
        match look(source, &options.progress).await {
            Ok((mut status, sample)) => {
                status.measure(before.as_ref(), sample.as_ref());
                (status, sample)
            }
            Err(fault) => (SourceStatus::unknown(&source.name, &fault), None),
        }
    });
    let (sources, samples) = join_all(looks).await.into_iter().unzip();
    (StatusReport { sources }, samples)
}
