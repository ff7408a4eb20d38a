//! `doctor`: every fault that would stop or hinder `run`, before it does, each with its cure. It writes nothing.

mod authorised;
mod database;
mod kafka;
mod report;
mod topics;
mod upkeep;
mod wal;

use clap::Args;

use crate::config::FeedKind;
use crate::fault::Fault;
use crate::finding::Finding;
use crate::operator::Verdict;
use crate::operator::arguments::{DatabaseArgs, ProgressArgs};
use crate::operator::error::CommandError;
use crate::operator::output::OutputArgs;
use crate::operator::session::read_progress;
use crate::operator::standing;
use crate::sources::SourceAddress;

use kafka::Cluster;
use report::Report;

/// Options of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// Which sources.
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where their progress is.
    #[command(flatten)]
    progress: ProgressArgs,
    /// How it is told.
    #[command(flatten)]
    output: OutputArgs,
    /// Where `run` will read rows from.
    #[arg(long, env = "RELAY_FEED", value_enum, default_value_t = FeedKind::Table)]
    feed: FeedKind,
    /// Seconds after which an open transaction that has written into the outbox is worth a warning.
    #[arg(long, env = "RELAY_OPEN_FOR_SECONDS", default_value_t = 60)]
    open_for: u32,
}

/// Checks everything, and tells what it found.
pub(crate) async fn doctor(options: &DoctorOptions) -> Result<Verdict, CommandError> {
    let sources = options.database.all()?;
    let mut report = Report::default();
    let (cluster, findings) = kafka::check(&options.progress).await;
    report.add("kafka", findings);
    for source in &sources {
        let findings = check(source, options, cluster.as_ref()).await;
        report.add(
            &source.name,
            findings.unwrap_or_else(|fault| vec![Finding::fault("database", fault)]),
        );
    }
    options.output.print(&report)?;
    Ok(if report.has_fault() { Verdict::Trouble } else { Verdict::Fine })
}

/// Checks one source, as far as it can be.
async fn check(
    source: &SourceAddress,
    options: &DoctorOptions,
    cluster: Option<&Cluster>,
) -> Result<Vec<Finding>, Fault> {
    let (mut connection, mut findings) = match database::check(source).await {
        (Some(connection), findings) => (connection, findings),
        (None, findings) => return Ok(findings),
    };
    let of_database = |error| Fault::of_database(&error);
    let open_for = f64::from(options.open_for);
    findings.extend(upkeep::check(&mut connection, open_for).await.map_err(of_database)?);
    if options.feed == FeedKind::Wal {
        findings.extend(wal::check(&mut connection).await.map_err(of_database)?);
    }
    let Some(cluster) = cluster else { return Ok(findings) };
    let recorded = match read_progress(&options.progress, &source.name).await {
        Ok(recorded) => recorded,
        // That the topic is wrong has been said of Kafka.
        Err(_) => return Ok(findings),
    };
    let standing = standing::judge(&mut connection, recorded).await?;
    findings.push(match standing.fault() {
        Some(fault) => Finding::fault("progress", fault),
        None => Finding::ok(
            "progress",
            format!("it fits the table, up to number {}", standing.position.head()),
        ),
    });
    findings.extend(topics::check(&mut connection, cluster, &standing).await?);
    Ok(findings)
}
