//! `lab audit`: a running system is let come to rest and audited.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use super::{Rest, Snapshot, Sources, Verdict, at_rest, audit};
use crate::{bench::Output, campaign::Delivery, history::History};

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
    /// How long the system may still move
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// How the verdicts are printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Audits a running system. Exit code 0: every invariant holds. 1: one does not. 2: it could not be told.
pub async fn run(options: AuditOptions) -> ExitCode {
    match verdicts(&options).await {
        Ok((rest, verdicts)) => {
            print(options.output, &rest, &verdicts);
            ExitCode::from(u8::from(!verdicts.iter().all(Verdict::holds)))
        }
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn verdicts(options: &AuditOptions) -> anyhow::Result<(Rest, Vec<Verdict>)> {
    let history = match &options.history {
        Some(path) => Some(
            History::read(path).with_context(|| format!("could not read {}", path.display()))?,
        ),
        None => None,
    };
    let sources = Sources {
        store_manager: options.store_manager_database.clone(),
        payments: options.payments_database.clone(),
        brokers: options.kafka_brokers.clone(),
    };
    // Where nobody answers is told at once.
    Snapshot::read(&sources).await?;
    let rest = at_rest(&sources, Duration::from_secs(options.patience)).await?;
    let lost = &rest.snapshot.lost_beginnings;
    ensure!(
        lost.is_empty(),
        "a system can be audited only while all it ever said is there: {}",
        lost.join("; ")
    );
    let verdicts = audit(&rest.snapshot, history.as_ref(), options.delivery);
    Ok((rest, verdicts))
}

fn print(output: Output, rest: &Rest, verdicts: &[Verdict]) {
    match output {
        Output::Json => {
            let moves: Vec<_> = rest.still_moves.iter().map(ToString::to_string).collect();
            let verdicts: Vec<_> = verdicts.iter().map(Verdict::json).collect();
            println!("{:#}", json!({ "still_moves": moves, "verdicts": verdicts }));
        }
        Output::Text => {
            for motion in &rest.still_moves {
                println!("still moves: {motion}");
            }
            for verdict in verdicts {
                println!("{verdict}");
            }
        }
    }
}
