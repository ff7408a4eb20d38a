//! Comparing the stream with the table, which has the last word.
//!
//! What the table shows must have come by the stream, once that has passed the end of the WAL as it was then. A gap is given up only
//! when nobody could fill it any more, the stream has passed what had been written by then, and the table was looked through for it
//! as well, a part of it at each comparison. So a publication that somebody has changed is noticed, and nothing is lost by it.

use std::time::Duration;

use futures::StreamExt;
use pgwire_replication::Lsn;
use tokio::time::{Instant, timeout};

use crate::core::ledger::Ledger;
use crate::source::database::{Database, DatabaseError};
use crate::source::look::Reach;
use crate::source::wal::stream::Stream;

/// How long a stream may be silent while the table shows what it has not brought.
const SILENCE: Duration = Duration::from_secs(5);

/// How long one statement may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What the table has shown.
#[derive(Debug)]
pub(super) struct Audit {
    /// The end of the WAL, after `highest` was seen and the holders of the table's lock were read.
    end: Lsn,
    /// The highest number that was visible.
    highest: i64,
    at: Instant,
    /// How many numbers the next comparison looks up.
    reach: Reach,
}

/// What the comparison says.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The stream has not come so far, or not all that is settled has been looked up.
    Pending,
    /// It has brought what the table has shown.
    Same,
    /// It has not brought this number.
    Lacks(i64),
    /// It has said nothing for long, and rows wait in the table.
    Silent,
}

impl Audit {
    /// Looks at the table. If gaps are open, those who may fill them are observed.
    pub(super) async fn begin(
        database: &mut Database,
        ledger: &mut Ledger,
    ) -> Result<Self, DatabaseError> {
        if !ledger.reading().gaps().is_empty() {
            let holders = database.holders().await?;
            let last_value = database.last_value().await?;
            ledger.observe(holders, last_value);
        }
        // After the observation: who had ended by then has committed before this end of the WAL.
        let (highest, end) = database.audit_stream().await?;
        Ok(Self { end, highest, at: Instant::now(), reach: Reach::default() })
    }

    /// The highest number that was visible.
    pub(super) fn highest(&self) -> i64 {
        self.highest
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
            return Ok(if lacks_highest && is_silent { Outcome::Silent } else { Outcome::Pending });
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
        Ok(if settled.is_empty() { Outcome::Same } else { Outcome::Pending })
    }
}
