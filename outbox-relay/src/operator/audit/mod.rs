//! `audit`: table and topics are held against each other; with `--repair` what is missing is sent, and a source that stopped at a
//! discontinuity can go on.
//!
//! What it takes for wrong: a row that the progress calls published and that no topic has; a record without a row; a record behind a
//! later one of its key; exactly once, also a record that stands twice. It does not guess: a row so old that its topic may
//! have deleted the record proves nothing, nor does a record whose row may have gone with a dropped partition, nor one of
//! another `ce_source`. A topic to which partitions were added has keys that moved: their order is not what it was.

mod claim;
mod compare;
mod comparison;
mod findings;
mod kept;
mod lock;
mod missing;
mod repair;
mod repair_report;

use clap::Args;
use runtime::fail_points::{self, FailPoint, road};

use crate::operator::Verdict;
use crate::operator::arguments::{DatabaseArgs, ProgressArgs};
use crate::operator::error::CommandError;
use crate::operator::output::OutputArgs;
use crate::operator::rows::Rows;
use crate::source::producer::Delivery;

use claim::Claim;
use compare::compare;
use findings::Findings;
use missing::batches;

/// Options of `audit`.
#[derive(Clone, Debug, Args)]
pub struct AuditOptions {
    /// Which source.
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where its progress is.
    #[command(flatten)]
    progress: ProgressArgs,
    /// How its relay delivers: exactly once, a record that stands twice is wrong, and a repair is sent in transactions.
    #[arg(long, env = "RELAY_DELIVERY", value_enum, default_value = "at-least-once")]
    delivery: Delivery,
    /// Send what is missing and write the progress anew, with no relay leading meanwhile.
    #[arg(long)]
    repair: bool,
    /// Tell what a repair would do, and do nothing.
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// The most rows that are looked at; each takes up to 48 bytes of memory, and each key as much.
    #[arg(long, env = "RELAY_AUDIT_ROWS", default_value_t = 50_000_000)]
    max_rows: usize,
    /// How it is told.
    #[command(flatten)]
    output: OutputArgs,
    /// Where this process fails on purpose: NAME=ACTION[@HIT], for tests.
    #[arg(long, value_delimiter = ',', hide = true, value_parser = FailPoint::of(&road::REPAIR))]
    fail_points: Vec<FailPoint>,
}

/// Compares, and repairs if asked to.
pub(crate) async fn audit(options: &AuditOptions) -> Result<Verdict, CommandError> {
    fail_points::arm(&options.fail_points);
    let source = options.database.one()?;
    if options.repair {
        return repair::repair(options, &source).await;
    }
    let mut rows = Rows::connect(&source, "audit").await?;
    // First the progress: what it calls published is in the table when that is read.
    let claim = Claim::read(&mut rows, &options.progress, &source).await?;
    let expected = claim.expected(&mut rows).await?;
    let mut compared = compare(&mut rows, &options.progress.kafka, options.max_rows).await?;
    let mut findings =
        Findings::new(&source.name, claim.discontinuity(), options.delivery, &mut compared);
    let (unseen, waiting) = expected.unseen(&compared);
    findings.waiting = waiting;
    for numbers in batches(&unseen) {
        let judged = expected.judge(&mut rows, numbers, &compared.topics).await?;
        findings.take(&judged, &compared);
    }
    rows.close().await?;
    options.output.print(&findings)?;
    Ok(findings.verdict())
}
