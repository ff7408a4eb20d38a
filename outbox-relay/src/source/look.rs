//! One look at the table: what has come in the open gaps, then what lies above the head.
//!
//! Gaps and page are read in one snapshot, gaps first: otherwise a row could be sent before one of its key that committed
//! earlier and has the smaller number. What is found is taken into the ledger's open page, and waits there to be sent until it is
//! durable; a page is all that is in memory.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::core::ledger::Ledger;
use crate::source::Limits;
use crate::source::database::{Database, DatabaseError, OutboxRow};
use crate::source::record;

/// How long the next row may keep a look waiting.
const ROW_TIMEOUT: Duration = Duration::from_secs(8);

/// What a look found: the ledger's open page.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The rows to be sent, in order.
    pub(crate) rows: Vec<OutboxRow>,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Whether it ended before the table did.
    pub(crate) more: bool,
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
        let filling = self.database.look_up(self.ledger.reading().gaps(), limit(self.rows));
        found.more = collect(filling, self.ledger, self.limits, self.rows, found).await?;
        if found.more {
            return Ok(());
        }
        self.ledger.looked_up();
        found.capped = self.ledger.reading().gaps().len() >= self.limits.gap_runs;
        if found.capped { Ok(()) } else { self.read_ahead(found).await }
    }

    /// Takes what lies above the head.
    async fn read_ahead(&mut self, found: &mut Found) -> Result<(), DatabaseError> {
        let ahead = self.database.page(self.ledger.reading().head(), limit(self.rows));
        found.more = collect(ahead, self.ledger, self.limits, self.rows, found).await?;
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
    while let Some(row) = timeout(ROW_TIMEOUT, rows.next()).await? {
        seen += 1;
        found.take(row?, ledger);
        if found.bytes >= limits.page_bytes {
            return Ok(true);
        }
    }
    Ok(seen >= wanted)
}

pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
