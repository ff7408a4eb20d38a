//! Comparing the stream with the table, which has the last word.
//!
//! What the table shows must have come by the stream, once that has passed the end of the WAL as it was then. A gap is given up only
//! when nobody could fill it any more, the stream has passed what had been written by then, and the table was looked through for it
//! as well, a part of it at each comparison. So a publication that somebody has changed is noticed, and nothing is lost by it.
//!
//! Looking for what the table shows goes through the rows of a transaction that is in progress as well, so it is done part by part: from the
//! last number that was drawn down to the first row that is visible, or to the numbers of which none is open. What commits in a part
//! behind the look meanwhile, the next audit finds.

use std::time::Duration;

use futures::StreamExt;
use pgwire_replication::Lsn;
use tokio::time::{Instant, timeout};

use crate::core::gaps::Run;
use crate::core::ledger::Ledger;
use crate::source::database::{Database, DatabaseError};
use crate::source::look::Reach;
use crate::source::wal::stream::Stream;

/// How long a stream may be silent while the table shows what it has not brought.
const SILENCE: Duration = Duration::from_secs(5);

/// How long one statement may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How many numbers one statement looks through at most, whether their rows are visible or not.
const WINDOW: i64 = 100_000;

/// What the table has shown.
#[derive(Debug)]
pub(super) struct Audit {
    /// The end of the WAL, after `highest` was seen and the holders of the table's lock were read.
    end: Lsn,
    /// The highest number that was visible; 0 if none was.
    highest: i64,
    /// What has not been looked through for it.
    unseen: Option<Run>,
    /// When the table was looked at.
    at: Instant,
    /// How many numbers the next comparison looks up.
    reach: Reach,
}

/// What the comparison says.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The stream has not come so far.
    Pending,
    /// Not all that is settled has been looked up.
    More,
    /// It has brought what the table has shown, or has been silent for long while nothing waits for it.
    Same,
    /// It has not brought this number.
    Lacks(i64),
    /// It has said nothing for long, and rows wait in the table.
    Silent,
}

impl Audit {
    /// Begins to look at the table. If gaps are open, those who may fill them are observed.
    pub(super) async fn begin(
        database: &mut Database,
        ledger: &mut Ledger,
    ) -> Result<Self, DatabaseError> {
        let is_open = !ledger.reading().gaps().is_empty();
        let holders = if is_open { Some(database.holders().await?) } else { None };
        let last_value = database.last_value().await?;
        if let Some(holders) = holders {
            ledger.observe(holders, last_value);
        }
        let unseen = Run { first: ledger.reading().watermark() + 1, last: last_value };
        let mut audit = Self {
            end: Lsn(0),
            highest: 0,
            unseen: Some(unseen),
            at: Instant::now(),
            reach: Reach::default(),
        };
        // After the observation: who had ended by then has committed before this end of the WAL.
        audit.look(database).await?;
        Ok(audit)
    }

    /// The highest number that was visible.
    pub(super) fn highest(&self) -> i64 {
        self.highest
    }

    /// Whether the table has not been looked through yet.
    pub(super) fn is_looking(&self) -> bool {
        self.unseen.is_some()
    }

    /// Looks through the next part of the table.
    pub(super) async fn look(&mut self, database: &mut Database) -> Result<(), DatabaseError> {
        let Some(unseen) = self.unseen else { return Ok(()) };
        let (part, rest) = last_part(unseen);
        let (highest, end) = database.audit_stream(part).await?;
        self.unseen = rest.filter(|_| highest.is_none());
        (self.highest, self.end) = (highest.unwrap_or(0), end);
        self.at = Instant::now();
        Ok(())
    }

    /// Compares the stream with what was seen. If they are the same, what nobody can fill any more is given up.
    pub(super) async fn compare(
        &mut self,
        stream: &Stream,
        database: &mut Database,
        ledger: &mut Ledger,
    ) -> Result<Outcome, DatabaseError> {
        let lacks_highest = !ledger.reading().is_done(self.highest);
        if stream.passed() < self.end {
            let is_silent = stream.heard_at() <= self.at && self.at.elapsed() > SILENCE;
            return Ok(match (is_silent, lacks_highest) {
                (true, true) => Outcome::Silent,
                // What has come to wait since then only another look at the table tells.
                (true, false) => Outcome::Same,
                (false, _) => Outcome::Pending,
            });
        }
        if lacks_highest {
            return Ok(Outcome::Lacks(self.highest));
        }
        self.give_up(database, ledger).await
    }

    /// Gives up the first part of what was settled, unless the table has some of it.
    async fn give_up(
        &mut self,
        database: &mut Database,
        ledger: &mut Ledger,
    ) -> Result<Outcome, DatabaseError> {
        let mut settled = ledger.settled();
        if settled.is_empty() {
            return Ok(Outcome::Same);
        }
        let (part, began) = (self.reach.split(&mut settled), Instant::now());
        let found = timeout(TIMEOUT, database.look_up(&part, 1).next()).await?.transpose()?;
        if let Some(row) = found {
            return Ok(Outcome::Lacks(row.sequence));
        }
        ledger.begin_page();
        ledger.looked_up(&part);
        ledger.end_page();
        self.reach = self.reach.after(began.elapsed());
        Ok(if settled.is_empty() { Outcome::Same } else { Outcome::More })
    }
}

/// The last numbers of the run, as many as one statement looks through, and those before them.
fn last_part(run: Run) -> (Run, Option<Run>) {
    let first = run.first.max(run.last - WINDOW + 1);
    let rest = (first > run.first).then(|| Run { first: run.first, last: first - 1 });
    (Run { first, ..run }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_looked_through_from_its_end_and_no_number_is_left_out() {
        let mut rest = Some(Run { first: 8, last: 2 * WINDOW + 10 });
        let mut parts = Vec::new();
        while let Some(run) = rest {
            let (part, before) = last_part(run);
            parts.push((part.first, part.last));
            rest = before;
        }
        assert_eq!(parts, [(WINDOW + 11, 2 * WINDOW + 10), (11, WINDOW + 10), (8, 10)]);
        let nothing = Run { first: 8, last: 7 };
        assert_eq!(last_part(nothing), (nothing, None));
    }
}
