//! `audit --repair`: what is missing is sent, and the progress is written for the table as it is.
//!
//! 1. The leadership is taken, so that no relay publishes; exactly once, the former owner is fenced too.
//! 2. Table and topics are compared.
//! 3. What is missing is sent, in the order of the numbers, each record marked. What Kafka would refuse is left out, and so is what
//!    follows of its key.
//! 4. The progress is written: the table's identity, the largest number seen, and as open gaps what is not visible and what was
//!    left out. The relay looks those up first, and parks what has to be parked.
//!
//! Killed at any moment it may be run again: what has arrived is found on its topic and not sent once more.

use runtime::fail_points::{self, Injected, road};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::core::ledger::Reached;
use crate::core::position::Position;
use crate::core::progress::{Progress, Term, changes};
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::audit::AuditOptions;
use crate::operator::audit::claim::Claim;
use crate::operator::audit::compare::{Compared, compare};
use crate::operator::audit::comparison::Found;
use crate::operator::audit::findings::Findings;
use crate::operator::audit::lock::Lock;
use crate::operator::audit::missing::{Expected, batches};
use crate::operator::audit::repair_report::{KeyOfTopic, Keys, LeftRow, NewProgress, RepairReport};
use crate::operator::error::CommandError;
use crate::operator::meter::Meter;
use crate::operator::rows::{self, Entry, Rows};
use crate::operator::sender::{Mark, Sender};
use crate::operator::session::{self, Access};
use crate::source::identity;
use crate::source::producer::SendError;
use crate::sources::SourceAddress;

/// The header that names the repair.
pub(crate) const REPAIR_HEADER: &str = "outbox-relay-repair";

/// A repair under way.
struct Repair<'a> {
    options: &'a AuditOptions,
    source: &'a SourceAddress,
    lock: Lock,
    rows: Rows,
    /// None in a dry run.
    sender: Option<Sender>,
    mark: Mark,
    /// What was left out.
    left: Gaps,
    left_keys: Keys,
    lost_keys: Keys,
}

/// Repairs, or tells what it would do.
pub(crate) async fn repair(
    options: &AuditOptions,
    source: &SourceAddress,
) -> Result<Verdict, CommandError> {
    let of_source = |fault| CommandError::Source { name: source.name.clone(), fault };
    let mut lock = Lock::take(source).await.map_err(of_source)?;
    let id = (!options.dry_run).then(Uuid::now_v7);
    let sender = match id {
        Some(_) => Some(lock.during(sender(options, source)).await?),
        None => None,
    };
    let value = id.map_or_else(String::new, |id| id.to_string());
    let rows = Rows::connect(source, "audit").await?;
    let mut repair = Repair {
        options,
        source,
        lock,
        rows,
        sender,
        mark: Mark { name: REPAIR_HEADER, value },
        left: Gaps::default(),
        left_keys: Keys::default(),
        lost_keys: Keys::default(),
    };
    let report = repair.run(id).await.map_err(of_source)?;
    let Repair { lock, rows, sender, .. } = repair;
    if let Some(sender) = sender {
        sender.stop().await;
    }
    rows.close().await?;
    lock.release().await?;
    options.output.print(&report)?;
    Ok(report.verdict())
}

async fn sender(options: &AuditOptions, source: &SourceAddress) -> Result<Sender, Fault> {
    Sender::start(&options.progress, &source.name, options.delivery).await
}

impl Repair<'_> {
    async fn run(&mut self, id: Option<Uuid>) -> Result<RepairReport, Fault> {
        let Self { options, source, lock, rows, .. } = self;
        let claim = lock.during(Claim::read(rows, &options.progress, source)).await?;
        let expected = lock.during(claim.expected(rows)).await?;
        let mut compared = self.compare().await?;
        let findings = Findings::new(
            &self.source.name,
            claim.discontinuity(),
            self.options.delivery,
            &mut compared,
        );
        let mut report = RepairReport::new(findings, id);
        if let Some(refused) = self.send_missing(&expected, &compared, &mut report).await? {
            compared = self.leave_missing(&expected, &refused, &mut report).await?;
        }
        report.sent = report.findings.missing.count - report.left.count;
        self.finish(&claim, &expected, &compared, &mut report).await?;
        Ok(report)
    }

    async fn compare(&mut self) -> Result<Compared, Fault> {
        let Self { options, lock, rows, .. } = self;
        let kafka = &options.progress.kafka;
        lock.during(Box::pin(compare(rows, kafka, options.max_rows))).await
    }

    /// Sends what is missing. Answers why Kafka has refused something that could not be foreseen, if it has.
    async fn send_missing(
        &mut self,
        expected: &Expected,
        compared: &Compared,
        report: &mut RepairReport,
    ) -> Result<Option<String>, Fault> {
        let (unseen, waiting) = expected.unseen(compared);
        report.findings.waiting = waiting;
        let mut meter = Meter::new();
        for numbers in batches(&unseen) {
            let judged = expected.judge(&mut self.rows, numbers, &compared.topics);
            let judged = self.lock.during(judged).await?;
            report.findings.take(&judged, compared);
            for row in &judged.missing {
                self.note_order(row, compared, report);
            }
            let settled = self.send(&judged.missing, report).await;
            match settled {
                Ok(()) => {}
                Err(Stopped::Fault(fault)) => return Err(fault),
                Err(Stopped::Send(error)) => return refusal(error).map(Some),
            }
            meter.tell(|| format!("{} rows repaired", report.findings.missing.count));
        }
        Ok(None)
    }

    fn note_order(&mut self, row: &Entry, compared: &Compared, report: &mut RepairReport) {
        let Entry { topic, key, number, .. } = row;
        let overtaken = compared.comparison.is_overtaken(topic, key.as_bytes(), *number);
        if overtaken && self.lost_keys.insert(row) {
            report.order_lost.add(KeyOfTopic { topic: topic.clone(), key: key.clone() });
        }
    }

    async fn send(&mut self, missing: &[Entry], report: &mut RepairReport) -> Result<(), Stopped> {
        for chunk in rows::chunks(missing) {
            let whole = self.lock.during(self.rows.whole(&chunk)).await?;
            self.lock.until_durable().await?;
            for row in &whole {
                let Some(entry) = missing.iter().find(|entry| entry.number == row.sequence) else {
                    continue;
                };
                if self.left_keys.contain(entry) {
                    self.leave(entry, "an earlier event of its key is left", report);
                    continue;
                }
                let Some(sender) = &mut self.sender else { continue };
                let sent = async { Ok(sender.send(row, &self.mark).await) };
                if let Some(reason) = self.lock.during(sent).await?? {
                    self.leave(entry, &reason, report);
                }
            }
        }
        let Some(sender) = &mut self.sender else { return Ok(()) };
        Ok(self.lock.during(async { Ok(sender.settle().await) }).await??)
    }

    fn leave(&mut self, row: &Entry, reason: &str, report: &mut RepairReport) {
        self.left.insert(Run { first: row.number, last: row.number });
        self.left_keys.insert(row);
        report.left.add(LeftRow::new(row, reason));
    }

    /// After a refusal nobody could foresee: sees what has arrived, and leaves the rest to the relay.
    async fn leave_missing(
        &mut self,
        expected: &Expected,
        refused: &str,
        report: &mut RepairReport,
    ) -> Result<Compared, Fault> {
        if let Some(sender) = self.sender.take() {
            let stop = async {
                sender.stop().await;
                Ok(())
            };
            self.lock.during(stop).await?;
        }
        self.sender = Some(self.lock.during(sender(self.options, self.source)).await?);
        let compared = self.compare().await?;
        self.left = Gaps::default();
        report.left = Found::default();
        let (unseen, _) = expected.unseen(&compared);
        for numbers in batches(&unseen) {
            let judged = expected.judge(&mut self.rows, numbers, &compared.topics);
            for row in self.lock.during(judged).await?.missing {
                self.leave(&row, refused, report);
            }
        }
        Ok(compared)
    }

    /// Makes the source's progress what it is now, where it was not.
    async fn finish(
        &mut self,
        claim: &Claim,
        expected: &Expected,
        compared: &Compared,
        report: &mut RepairReport,
    ) -> Result<(), Fault> {
        if claim.standing.discontinuity.is_none() && self.left.is_empty() {
            return Ok(());
        }
        let known = expected.published.as_ref().unwrap_or(&compared.visible);
        let position = without(known, &self.left);
        report.progress = Some(NewProgress::new(position.head(), position.gaps()));
        let newest = compared.visible.head();
        // Read after the table: writers go on meanwhile, and what they draw is no sign of a sequence that went back.
        let last_value = identity::last_value(self.rows.connection()).await;
        let last_value = last_value.map_err(|error| Fault::of_database(&error))?;
        report.sequence_set_to = (newest > last_value).then_some(newest);
        let Some(mut sender) = self.sender.take() else { return Ok(()) };
        if let Some(newest) = report.sequence_set_to {
            self.lock.during(advance_sequence(self.source, newest)).await?;
        }
        let name = &self.source.name;
        let reached = Reached { position, parked: expected.parked.clone() };
        let term = Term::after(name, &claim.records, Uuid::now_v7());
        let records = Progress { identity: claim.identity.clone(), reached }.encode(name, term);
        let pause = async { fail_points::pass(road::REPAIR_SENT).await.map_err(injected) };
        self.lock.during(pause).await?;
        self.lock.beat().await?;
        for (key, value) in changes(name, &claim.records, &records) {
            sender
                .send_progress(&self.options.progress.progress_topic, key, value)
                .map_err(stopped)?;
        }
        self.lock.during(async { sender.settle().await.map_err(stopped) }).await?;
        self.sender = Some(sender);
        fail_points::pass(road::REPAIR_WRITTEN).await.map_err(injected)?;
        self.lock.mark_published().await
    }
}

/// Why sending has stopped.
enum Stopped {
    Fault(Fault),
    Send(SendError),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<SendError> for Stopped {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

/// What Kafka has refused and why; anything else ends the repair.
fn refusal(error: SendError) -> Result<String, Fault> {
    match error {
        SendError::Refused { .. } => Ok(error.to_string()),
        SendError::Unknown { .. } => Err(stopped(error)),
    }
}

fn stopped(error: SendError) -> Fault {
    Fault::new(
        format!("the repair has stopped ({error})"),
        "see whether Kafka is up, and repair again: what has arrived is not sent once more",
    )
}

fn injected(error: Injected) -> Fault {
    Fault::new(error.to_string(), "repair again")
}

/// The position with `left` open.
fn without(position: &Position, left: &Gaps) -> Position {
    let mut gaps = position.gaps().clone();
    for run in left.iter() {
        gaps.insert(run);
    }
    let mut head = position.head();
    // The head itself is never a gap: what is open at the top lies above it.
    if let Some(top) = gaps.iter().last().filter(|run| run.last >= head) {
        head = top.first - 1;
        gaps.remove(top);
    }
    Position::new(head, gaps)
}

async fn advance_sequence(source: &SourceAddress, number: i64) -> Result<(), Fault> {
    let mut connection: PgConnection = session::connect(source, "audit", Access::Write).await?;
    let advanced = sqlx::query_file_scalar!("sql/advance_sequence.sql", number)
        .fetch_one(&mut connection)
        .await;
    advanced.map(drop).map_err(|error| {
        Fault::new(
            format!("the sequence is behind the table and cannot be set forward ({error})"),
            format!(
                "as its owner: SELECT setval('messaging.outbox_sequence', {number}), and repair again"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_open_again_and_never_the_head() {
        let position = |numbers: &[i64]| {
            let mut position = Position::default();
            for &number in numbers {
                position.take(number);
            }
            position
        };
        let open = |numbers: &[i64]| {
            let mut open = Gaps::default();
            for &number in numbers {
                open.insert(Run { first: number, last: number });
            }
            open
        };
        let taken = position(&[1, 2, 3, 5]);
        assert_eq!(without(&taken, &open(&[])), taken);
        assert_eq!(without(&taken, &open(&[2])), position(&[1, 3, 5]));
        assert_eq!(without(&taken, &open(&[5])), position(&[1, 2, 3]));
        assert_eq!(without(&taken, &open(&[1, 2, 3, 5])), Position::default());
    }
}
