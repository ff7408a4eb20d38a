//! `replay`: rows that are published already are published again, on purpose.
//!
//! Rows come from the table in the order of their numbers. Left out is what the progress does not call published: above its head,
//! in an open gap, or waiting because its key is parked; the relay sends those itself. Each record is what it was the first
//! time, key, bytes, headers and timestamp, with one header more, that names the replay. It stands behind all that its topic
//! has already: consumers that know the event by its id pass it over.

mod report;
mod selection;

use clap::Args;

use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::arguments::{DatabaseArgs, ProgressArgs};
use crate::operator::error::CommandError;
use crate::operator::meter::Meter;
use crate::operator::output::OutputArgs;
use crate::operator::rows::{self, Entry, Rows};
use crate::operator::sender::{Mark, Sender};
use crate::operator::standing::{self, Standing};
use crate::source::producer::{Delivery, SendError};

use report::ReplayReport;
use selection::Selection;

/// The header that names the replay.
pub(crate) const REPLAY_HEADER: &str = "outbox-relay-replay";

/// Options of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayOptions {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    selection: Selection,
    /// List what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Sends the selected rows again.
pub(crate) async fn replay(options: &ReplayOptions) -> Result<Verdict, CommandError> {
    let source = options.database.one()?;
    let mut rows = Rows::connect(&source, "replay").await?;
    let standing = standing::read(rows.connection(), &options.progress, &source.name).await?;
    if let Some(fault) = standing.fault() {
        return Err(CommandError::Source { name: source.name, fault });
    }
    let mut report = ReplayReport::new(&source.name, options.dry_run);
    report.dropped_below = dropped_below(&mut rows, &options.selection).await?;
    let sender = match report.replay {
        Some(id) => {
            let mark = Mark { name: REPLAY_HEADER, value: id.to_string() };
            // The relay's own transactional id would fence the relay.
            let delivery = Delivery::AtLeastOnce;
            Some((Sender::start(&options.progress, &source.name, delivery).await?, mark))
        }
        None => None,
    };
    let mut replay = Replay { selection: &options.selection, standing, sender, report };
    replay.run(&mut rows).await?;
    if let Some((sender, _)) = replay.sender {
        sender.stop().await;
    }
    rows.close().await?;
    options.output.print(&replay.report)?;
    Ok(Verdict::Fine)
}

/// A replay under way.
struct Replay<'a> {
    selection: &'a Selection,
    standing: Standing,
    /// None in a dry run.
    sender: Option<(Sender, Mark)>,
    report: ReplayReport,
}

impl Replay<'_> {
    async fn run(&mut self, rows: &mut Rows) -> Result<(), Fault> {
        let within = self.selection.run(self.standing.position.head());
        let mut runs = rows::run(within.first, within.last);
        let mut meter = Meter::new();
        while !runs.is_empty() {
            let page = rows.page(&mut runs).await?;
            let wanted: Vec<Entry> = page.into_iter().filter(|row| self.is_wanted(row)).collect();
            self.send(rows, &wanted).await?;
            meter.tell(|| format!("{} records", self.report.records));
        }
        let Some((sender, _)) = &mut self.sender else { return Ok(()) };
        sender.settle().await.map_err(|error| stopped(error, &self.report))
    }

    fn is_wanted(&mut self, row: &Entry) -> bool {
        let Standing { position, parked, .. } = &self.standing;
        if !self.selection.matches(row) {
            return false;
        }
        if position.gaps().contains(row.number) {
            self.report.unpublished += 1;
            return false;
        }
        if parked.holds(&row.topic, &row.key, row.number) {
            self.report.parked += 1;
            return false;
        }
        self.report.add(row);
        true
    }

    async fn send(&mut self, rows: &mut Rows, wanted: &[Entry]) -> Result<(), Fault> {
        let Some((sender, mark)) = &mut self.sender else { return Ok(()) };
        for chunk in rows::chunks(wanted) {
            for row in rows.whole(&chunk).await? {
                let sent = sender.send(&row, mark).await;
                let refusal = sent.map_err(|error| stopped(error, &self.report))?;
                if let Some(reason) = refusal {
                    self.report.refuse(&row, reason);
                }
            }
        }
        Ok(())
    }
}

/// Where the table begins, if the selection reaches back before that.
async fn dropped_below(rows: &mut Rows, selection: &Selection) -> Result<Option<i64>, Fault> {
    let first = rows.first_number().await?;
    let Some(oldest) = rows.oldest().await? else { return Ok((first > 0).then_some(first)) };
    Ok((first > 0 && selection.reaches_before(&oldest)).then_some(first))
}

fn stopped(error: SendError, report: &ReplayReport) -> Fault {
    let records = report.records;
    Fault::new(
        format!(
            "the replay has stopped; nobody knows which of {records} records have arrived ({error})"
        ),
        "see whether Kafka is up and what it refuses, and replay again; what has arrived will arrive again",
    )
}
