//! One look at the table: what has come in the open gaps, then what lies above the head.
//!
//! Gaps and page are read in one snapshot, gaps first: otherwise a row could be sent before one of its key that committed
//! earlier and has the smaller number. What is found is taken into the ledger's open page, and waits there to be sent until it is
//! durable; a page is all that is in memory.
//!
//! Rows of a transaction that is in progress cost a look as much as those that it finds. So those in gaps are not looked for again
//! while it is in progress in the look's own snapshot ([`quiet`](crate::core::quiet)), and those above the head are left open once
//! ([`Leader`](crate::source::leader::Leader)): a look goes through them a few times, however long the transaction stays open.

use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::time::timeout;

use crate::core::gaps::Gaps;
use crate::core::ledger::Ledger;
use crate::source::Limits;
use crate::source::database::{Database, DatabaseError};
use crate::source::record;
use crate::source::row::OutboxRow;

/// How long the next row may keep a look waiting.
const ROW_TIMEOUT: Duration = Duration::from_secs(8);

/// To spare looking up fewer numbers than these, it is not asked which transactions are in progress.
const WORTHWHILE: i64 = 1_000;

/// After so long a look goes on with the next, if that has less to do.
const LONG_LOOK: Duration = Duration::from_secs(1);

/// What a look found: the ledger's open page.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The rows to be sent, in order.
    pub(crate) rows: Vec<OutboxRow>,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Whether it ended before the table did.
    pub(crate) more: bool,
    /// The number up to which nothing more is visible above the head, if the look has come to an end there.
    pub(crate) end: Option<i64>,
    /// Whether the open gaps are too many to read ahead.
    pub(crate) capped: bool,
}

impl Found {
    /// Takes a row, unless it was taken before.
    pub(crate) fn take(&mut self, row: OutboxRow, ledger: &mut Ledger) {
        let bytes = record::bytes(&row);
        if ledger.take(row.sequence, bytes, record::created_at_ms(&row)) {
            self.bytes += bytes;
            self.rows.push(row);
        }
    }
}

/// A look while it goes on.
pub(crate) struct Look<'a> {
    pub(crate) database: &'a mut Database,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) limits: &'a Limits,
    /// How many rows are wanted at most, about.
    pub(crate) rows: usize,
    /// How far it looks above the head.
    pub(crate) reach: Reach,
}

/// How many numbers one statement goes through at most, whether their rows are visible or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach(i64);

impl Default for Reach {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}

impl Reach {
    /// A small part of a second's work, if all of them are there.
    const LEAST: i64 = 100_000;

    /// A few seconds' work.
    const MOST: i64 = 100 * Self::LEAST;

    /// A statement that took less goes through more the next time: many of the numbers have no row.
    const QUICK: Duration = Duration::from_millis(100);

    /// Takes as many of the first numbers out, and answers them.
    pub(crate) fn split(self, numbers: &mut Gaps) -> Gaps {
        numbers.split_first(self.0)
    }

    /// The next one, after a statement that took so long.
    pub(crate) fn after(self, took: Duration) -> Self {
        if took < Self::QUICK { Self((self.0 * 2).min(Self::MOST)) } else { self }
    }
}

impl Look<'_> {
    /// Looks once, taking at most about `rows` rows or the page's bytes.
    pub(crate) async fn take(mut self) -> Result<Found, DatabaseError> {
        let mut found = Found::default();
        if self.ledger.reading().gaps().is_empty() {
            self.read_ahead(&mut found).await?;
        } else {
            self.database.begin_snapshot().await?;
            self.fill_and_read_ahead(&mut found).await?;
            self.database.end_snapshot().await?;
        }
        Ok(found)
    }

    /// Takes what fills gaps; if none is left over, goes on above the head.
    async fn fill_and_read_ahead(&mut self, found: &mut Found) -> Result<(), DatabaseError> {
        self.fill(found).await?;
        if found.more {
            return Ok(());
        }
        found.capped = self.ledger.reading().gaps().len() >= self.limits.gap_runs;
        if found.capped { Ok(()) } else { self.read_ahead(found).await }
    }

    /// Takes what fills gaps, but for those that nobody can have filled who is in progress in this snapshot.
    async fn fill(&mut self, found: &mut Found) -> Result<(), DatabaseError> {
        let fates = match self.ledger.fillers(WORTHWHILE) {
            Some(fillers) => Some(self.database.fates(&fillers).await?),
            None => None,
        };
        let mut left = self.ledger.gaps_to_look_up(fates.as_ref());
        let (began, mut reach) = (Instant::now(), Reach::default());
        loop {
            let (part, part_began) = (reach.split(&mut left), Instant::now());
            if !part.is_empty() {
                let filling = self.database.look_up(&part, limit(self.rows));
                found.more = collect(filling, self.ledger, self.limits, self.rows, found).await?;
                if found.more {
                    return Ok(());
                }
            }
            self.ledger.looked_up(&part);
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > LONG_LOOK && self.ledger.is_quiet(&part) {
                found.more = true;
                return Ok(());
            }
            reach = reach.after(part_began.elapsed());
        }
    }

    /// Takes what lies above the head.
    async fn read_ahead(&mut self, found: &mut Found) -> Result<(), DatabaseError> {
        let head = self.ledger.reading().head();
        let end = head.saturating_add(self.reach.0);
        let ahead = self.database.page(head, end, limit(self.rows));
        found.more = collect(ahead, self.ledger, self.limits, self.rows, found).await?;
        found.end = (!found.more).then_some(end);
        Ok(())
    }
}

/// Takes rows as they come. Answers whether there may be more: the limit was met, or the page's bytes were.
async fn collect(
    mut rows: BoxStream<'_, Result<OutboxRow, DatabaseError>>,
    ledger: &mut Ledger,
    limits: &Limits,
    wanted: usize,
    found: &mut Found,
) -> Result<bool, DatabaseError> {
    let mut seen = 0;
    loop {
        // Most rows are there already; a clock read for each costs more than taking it.
        let next = match rows.next().now_or_never() {
            Some(next) => next,
            None => timeout(ROW_TIMEOUT, rows.next()).await?,
        };
        let Some(row) = next else { return Ok(seen >= wanted) };
        seen += 1;
        found.take(row?, ledger);
        if found.bytes >= limits.page_bytes {
            return Ok(true);
        }
    }
}

pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_reaches_farther_while_there_is_little_to_go_through_and_never_too_far() {
        let (quick, slow) = (Duration::from_millis(1), Duration::from_millis(500));
        let mut reach = Reach::default();
        assert_eq!(reach.after(slow), reach);
        assert_eq!(reach.after(quick), Reach(2 * Reach::LEAST));
        for _ in 0..70 {
            reach = reach.after(quick);
        }
        assert_eq!(reach, Reach(Reach::MOST));
    }
}
