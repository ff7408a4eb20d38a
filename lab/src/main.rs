//! `lab`: the whole system on one machine.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use lab::{
    audit::{self, AuditOptions},
    bench::{self, Output, Plan, relay},
    campaign::{self, SoakOptions},
    chaos::{self, ChaosOptions},
    lost_window::{self, LostWindowOptions},
    naive::{self, NaiveOptions},
    output::{self, say},
    queries, signals,
    stack::{self, Stack, StackOptions},
    up::{self, UpOptions},
};

/// The whole system on one machine.
#[derive(Parser)]
#[command(name = "lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the whole store, send one order through it, and stay until Ctrl-C.
    Up(UpOptions),
    /// Start only PostgreSQL and Kafka, on free ports, print where they are, and stay until Ctrl-C.
    Stack,
    /// Measure the store, or the relay by itself.
    #[command(subcommand)]
    Bench(Measurement),
    /// Kill the relay at each of its fail points, again and again, and check what stands on Kafka.
    Soak(SoakOptions),
    /// Break everything under a load of orders, and check that nothing was lost, doubled or invented.
    Chaos(ChaosOptions),
    /// Kill a store between its commits and its events, one with an outbox and one without, and count what each has lost.
    LostWindow(LostWindowOptions),
    /// Let a running system come to rest, and check every invariant. Exit code 1: one does not hold.
    Audit(AuditOptions),
    /// Rewrite .sqlx: what each checked query asks and answers, so that a build needs no database.
    Sqlx {
        /// Change nothing; fail if .sqlx is not what the code asks
        #[arg(long)]
        check: bool,
    },
    /// The yardstick of `bench relay`: an outbox's rows to Kafka with nothing but speed in mind.
    #[command(hide = true)]
    BarePipeline(relay::BareOptions),
    /// A tiny store that is broken on purpose; lab starts this itself.
    #[command(hide = true)]
    NaiveStore(NaiveOptions),
    /// Remove a directory when standard input ends; lab starts this itself.
    #[command(hide = true)]
    Janitor {
        /// What to remove.
        directory: PathBuf,
    },
}

#[derive(Subcommand)]
enum Measurement {
    /// Orders per second, the time from CreateOrder to SagaCompleted, and the memory held afterwards.
    Saga {
        #[command(flatten)]
        plan: Plan,
        /// How the figures are printed
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// The relay against yardsticks of the same run: rate, processor time, latency, memory, and what writers pay.
    Relay {
        #[command(flatten)]
        plan: relay::RelayPlan,
        /// How the figures are printed
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(async {
        match command {
            Command::Up(options) => up::run(options).await,
            Command::Stack => signals::unless_stopped(only_stack()).await,
            Command::Bench(Measurement::Saga { plan, output }) => {
                signals::unless_stopped(Box::pin(bench::saga(plan, output))).await
            }
            Command::Bench(Measurement::Relay { plan, output }) => {
                signals::unless_stopped(Box::pin(relay::relay(plan, output))).await
            }
            Command::BarePipeline(options) => {
                signals::unless_stopped(Box::pin(relay::bare_pipeline(options))).await
            }
            Command::Soak(options) => Box::pin(campaign::soak(options)).await,
            Command::Chaos(options) => return Box::pin(chaos::run(options)).await,
            Command::LostWindow(options) => Box::pin(lost_window::run(options)).await,
            Command::NaiveStore(options) => Box::pin(naive::run(options)).await.map_err(Into::into),
            Command::Audit(options) => return Ok(Box::pin(audit::run(options)).await),
            Command::Sqlx { check } => signals::unless_stopped(queries::prepare(check)).await,
            Command::Janitor { directory } => stack::run_janitor(&directory).map_err(Into::into),
        }?;
        Ok(ExitCode::SUCCESS)
    });
    // Not waited for: a fetch or a build that was interrupted.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        // A reader who has seen enough is no failure.
        Err(error) if output::is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("lab: {}", output::in_one_sentence(error));
    ExitCode::FAILURE
}

async fn only_stack() -> anyhow::Result<()> {
    let stack = Stack::start(StackOptions::default()).await?;
    say(format!("PostgreSQL {}", stack.postgres_url("postgres")))?;
    say(format!("Kafka      {}", stack.kafka().await?.brokers()))?;
    say(format!("directory  {}", stack.directory().display()))?;
    say("Ctrl-C stops them")?;
    std::future::pending().await
}
