//! `lab chaos`: rounds one after the other, a page for each, and what all of them have covered.

use std::{
    io,
    pin::Pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{
    ChaosOptions, Plan, Relay, Report, faults::catalogue, round, shrink::shrink, tally::Tally,
};
use crate::{
    bench::Output,
    output::say,
    processes, signals,
    stack::{Debezium, Stack, StackOptions},
};

/// What is asked for makes no sense, as with clap.
const REFUSED: u8 = 2;
/// What is asked for cannot be had on this machine, as with automake.
const SKIPPED: u8 = 77;

/// Plays a campaign, up to its end or Ctrl-C, and prints what it has shown. The exit code is 0, 2 if what is asked for makes no
/// sense, and 77 if there is no Debezium here.
///
/// # Errors
/// If it cannot be begun, a round is bad, or it is stopped before it has shown anything.
pub async fn run(options: ChaosOptions) -> anyhow::Result<ExitCode> {
    if options.list {
        catalogue(options.relay).iter().try_for_each(|fault| say(fault.name()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let plans = match options.plans() {
        Ok(plans) => plans,
        Err(refusal) => {
            eprintln!("lab: {refusal}");
            return Ok(ExitCode::from(REFUSED));
        }
    };
    if options.relay == Relay::Debezium
        && let Err(error) = Debezium::available().await
    {
        say(format!("skipped: {:#}", anyhow::Error::from(error)))?;
        return Ok(ExitCode::from(SKIPPED));
    }
    processes::build().await?;
    let stack = Stack::start_postgres_only(StackOptions::default()).await?;
    let stop = std::pin::pin!(signals::stop_requested());
    if let Output::Text = options.output {
        say(format!("directory  {}", stack.directory().display()))?;
        say("Ctrl-C stops the campaign")?;
    }
    let mut tally = Tally::default();
    let played = play(&stack, plans, &options, &mut tally, stop).await;
    let told = match options.output {
        Output::Text => say(&tally),
        Output::Json => say(tally.json()),
    };
    let stopped = stack.stop().await;
    if let Some(trouble) = tally.trouble(options.cover) {
        anyhow::bail!(trouble);
    }
    played?;
    told?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

/// Plays rounds until there are no more, the time is over, or a stop is requested.
async fn play(
    stack: &Stack,
    plans: impl Iterator<Item = Plan>,
    options: &ChaosOptions,
    tally: &mut Tally,
    mut stop: Pin<&mut impl Future<Output = io::Result<()>>>,
) -> io::Result<()> {
    let end = options.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    // Unless it comes to its end.
    tally.is_stopped = true;
    for plan in plans {
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        let Some(report) = unless(stop.as_mut(), Box::pin(round(stack, &plan))).await? else {
            return Ok(());
        };
        tally.add(&report);
        print(&report, options.output)?;
        if tally.is_in_vain() {
            return Ok(());
        }
        if report.has_failed() && !options.no_shrink && plan.strikes.len() > 1 {
            let mut smallest = report;
            let shrunk = unless(stop.as_mut(), shrink(stack, &mut smallest)).await?;
            for broken_off in shrunk.iter().flatten() {
                print(broken_off, options.output)?;
            }
            if let Output::Text = options.output {
                say("the smallest schedule found that still fails:")?;
            }
            print(&smallest, options.output)?;
            if shrunk.is_none() {
                return Ok(());
            }
        }
    }
    tally.is_stopped = false;
    Ok(())
}

/// What comes of `work`; nothing if a stop is requested before: then it is dropped, and with it all that it had started.
async fn unless<T>(
    stop: Pin<&mut impl Future<Output = io::Result<()>>>,
    work: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    tokio::select! {
        done = Box::pin(work) => Ok(Some(done)),
        stopped = stop => stopped.map(|()| None),
    }
}

fn print(report: &Report, output: Output) -> io::Result<()> {
    match output {
        Output::Text => say(report),
        Output::Json => say(report.json()),
    }
}
