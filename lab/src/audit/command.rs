//! `lab audit`: a running system is let come to rest and audited.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use super::{Rest, Snapshot, Sources, Verdict, at_rest, audit};
use crate::{
    bench::Output,
    campaign::Delivery,
    history::History,
    output::{in_one_sentence, say},
};

/// Options of `lab audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditOptions {
    /// The URL of store-manager's database
    #[arg(
        long,
        value_name = "URL",
        default_value = "postgres://postgres@127.0.0.1:54320/store_manager"
    )]
    store_manager_database: String,
    /// The URL of payments' database
    #[arg(
        long,
        value_name = "URL",
        default_value = "postgres://postgres@127.0.0.1:54320/payments"
    )]
    payments_database: String,
    /// Kafka's bootstrap servers
    #[arg(long, value_name = "BROKERS", default_value = "127.0.0.1:9092")]
    kafka_brokers: String,
    /// What callers did and were told, a JSON object a line: all calls of all callers since the first in it
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// How the relay delivers: exactly once, an event that stands on Kafka twice is wrong
    #[arg(long, value_enum, default_value_t = Delivery::AtLeastOnce)]
    delivery: Delivery,
    /// How long the system may still move; at most a day
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(..=86_400)
    )]
    patience: u64,
    /// How the verdicts are printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Audits a running system. Exit code 0: every invariant holds. 1: one does not. 2: it could not be told.
pub async fn run(options: AuditOptions) -> ExitCode {
    let told = async {
        let (rest, verdicts) = verdicts(&options).await?;
        match print(&options, &rest, &verdicts) {
            // Who has read enough of the page may want the exit code still.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            Ok(()) | Err(_) => Ok(ExitCode::from(code(&verdicts))),
        }
    };
    told.await.unwrap_or_else(|error| {
        eprintln!("lab: {}", in_one_sentence(&error));
        ExitCode::from(2)
    })
}

/// What is said of a system that has dropped its beginnings is no proof of anything, also not that it is wrong.
fn code(verdicts: &[Verdict]) -> u8 {
    if verdicts.iter().any(|verdict| !verdict.limits.is_empty()) {
        2
    } else {
        u8::from(!verdicts.iter().all(Verdict::holds))
    }
}

async fn verdicts(options: &AuditOptions) -> anyhow::Result<(Rest, Vec<Verdict>)> {
    let history = options.history.as_deref().map(history).transpose()?;
    let sources = Sources {
        store_manager: options.store_manager_database.clone(),
        payments: options.payments_database.clone(),
        brokers: options.kafka_brokers.clone(),
    };
    // Where nobody answers is told at once.
    Snapshot::read(&sources).await?;
    let rest = at_rest(&sources, Duration::from_secs(options.patience)).await?;
    let verdicts = audit(&rest.snapshot, history.as_ref(), options.delivery);
    Ok((rest, verdicts))
}

fn history(path: &Path) -> anyhow::Result<History> {
    let history =
        History::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let is_empty = history.invocations.is_empty();
    ensure!(!is_empty, "there is no call in {}: leave out --history", path.display());
    Ok(history)
}

fn print(options: &AuditOptions, rest: &Rest, verdicts: &[Verdict]) -> io::Result<()> {
    match options.output {
        Output::Json => {
            let moves: Vec<_> = rest.still_moves.iter().map(ToString::to_string).collect();
            let verdicts: Vec<_> = verdicts.iter().map(Verdict::json).collect();
            let page = json!({
                "still_moves": moves,
                "verdicts": verdicts,
                "history": options.history.is_some(),
            });
            say(format!("{page:#}"))
        }
        Output::Text => {
            rest.still_moves.iter().try_for_each(|motion| say(format!("still moves: {motion}")))?;
            verdicts.iter().try_for_each(say)?;
            match options.history {
                Some(_) => Ok(()),
                None => say("no --history: what callers were told is known by kept answers only"),
            }
        }
    }
}
