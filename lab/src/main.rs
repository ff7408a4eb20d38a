//! `lab`: the whole system on one machine.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use lab::stack::{self, Stack, StackOptions};

/// The whole system on one machine.
#[derive(Parser)]
#[command(name = "lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start only PostgreSQL and Kafka, on free ports, print where they are, and stay until Ctrl-C.
    Stack,
    /// Remove a directory when standard input ends; lab starts this itself.
    #[command(hide = true)]
    Janitor {
        /// What to remove.
        directory: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Stack => only_stack().await,
        Command::Janitor { directory } => stack::run_janitor(&directory).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn only_stack() -> anyhow::Result<()> {
    let stack = Stack::start(StackOptions::default()).await?;
    println!("postgres={}", stack.postgres_url("postgres"));
    println!("kafka={}", stack.kafka().await?.brokers());
    println!("directory={}", stack.directory().display());
    tokio::signal::ctrl_c().await?;
    stack.stop().await?;
    Ok(())
}
