//! One look at the table: what has come in the open gaps, then what lies above the head, handed to the producer row by row.
//!
//! Gaps and page are read in one snapshot, gaps first: otherwise a row could be sent before one of its key that committed
//! earlier and has the smaller number. Rows stream through; only what the producer has not got acknowledged is in memory.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::core::ledger::Ledger;
use crate::source::Source;
use crate::source::database::{Database, DatabaseError, OutboxRow};
use crate::source::leader::LeadError;
use crate::source::producer::Producer;
use crate::source::record::{self, Record};
use crate::source::trace;

/// How long the next row may keep a look waiting.
const ROW_TIMEOUT: Duration = Duration::from_secs(8);

/// What a look found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Rows sent.
    pub(crate) rows: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Whether it ended before the table did.
    pub(crate) more: bool,
    /// Whether the open gaps are too many to read ahead.
    pub(crate) capped: bool,
}

/// What of one statement's rows was taken.
struct Taken {
    rows: usize,
    /// Whether there may be more: the limit was met, or the bytes were.
    cut: bool,
}

/// Looks once, sending at most about `rows` rows or the page's bytes.
pub(crate) async fn look(
    database: &mut Database,
    ledger: &mut Ledger,
    producer: &Producer,
    source: &Source,
    rows: usize,
) -> Result<Look, LeadError> {
    let mut page = Page { number: ledger.begin_page(), rows, bytes: 0, ledger, producer, source };
    let look = if page.ledger.reading().gaps().is_empty() {
        page.read_ahead(database).await?
    } else {
        database.begin_snapshot().await?;
        let look = page.fill_and_read_ahead(database).await?;
        database.end_snapshot().await?;
        look
    };
    let bytes = page.bytes;
    ledger.end_page();
    Ok(Look { bytes, ..look })
}

/// A page while it is read.
struct Page<'a> {
    number: usize,
    rows: usize,
    bytes: usize,
    ledger: &'a mut Ledger,
    producer: &'a Producer,
    source: &'a Source,
}

impl Page<'_> {
    /// Sends what fills gaps; if none is left over, goes on above the head.
    async fn fill_and_read_ahead(&mut self, database: &mut Database) -> Result<Look, LeadError> {
        let found = database.look_up(self.ledger.reading().gaps(), limit(self.rows));
        let filled = self.take(found).await?;
        if filled.cut {
            return Ok(Look { rows: filled.rows, more: true, ..Look::default() });
        }
        self.ledger.looked_up();
        if self.ledger.reading().gaps().len() >= self.source.limits.gap_runs {
            return Ok(Look { rows: filled.rows, capped: true, ..Look::default() });
        }
        let look = self.read_ahead(database).await?;
        Ok(Look { rows: filled.rows + look.rows, ..look })
    }

    /// Sends what lies above the head.
    async fn read_ahead(&mut self, database: &mut Database) -> Result<Look, LeadError> {
        let found = database.page(self.ledger.reading().head(), limit(self.rows));
        let taken = self.take(found).await?;
        Ok(Look { rows: taken.rows, more: taken.cut, ..Look::default() })
    }

    /// Hands rows to the producer as they come.
    async fn take(
        &mut self,
        mut found: BoxStream<'_, Result<OutboxRow, DatabaseError>>,
    ) -> Result<Taken, LeadError> {
        let (mut seen, mut rows) = (0, 0);
        while let Some(row) =
            timeout(ROW_TIMEOUT, found.next()).await.map_err(DatabaseError::from)?
        {
            let row = row?;
            seen += 1;
            let bytes = record::bytes(&row);
            if self.ledger.take(row.sequence, bytes, record::created_at_ms(&row)) {
                rows += 1;
                self.bytes += bytes;
                let trace = trace::context(&row, self.source.tracing);
                self.producer.send(self.number, &Record::new(&row, trace))?;
            }
            if self.bytes >= self.source.limits.page_bytes {
                return Ok(Taken { rows, cut: true });
            }
        }
        Ok(Taken { rows, cut: seen >= self.rows })
    }
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
