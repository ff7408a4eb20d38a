//! What commands read of the table: first only what tells rows apart, page by page, then those that are wanted, by their numbers.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::fault::Fault;
use crate::operator::session::{self, Access};
use crate::source::row::OutboxRow;
use crate::sources::SourceAddress;

/// Entries read at once.
const PAGE: usize = 5_000;

/// Payload bytes read at once, unless a single row has more.
const CHUNK_BYTES: i64 = 4 << 20;

/// Rows read at once.
const CHUNK_ROWS: usize = 500;

/// A row without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: i64,
    pub(crate) id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) source: String,
    pub(crate) created_at: OffsetDateTime,
    /// How large its payload is.
    pub(crate) bytes: i64,
}

impl Entry {
    /// When it was created, in milliseconds since 1970: the timestamp of its record.
    pub(crate) fn created_at_ms(&self) -> i64 {
        i64::try_from(self.created_at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
    }
}

/// The table, over a connection of the command's own.
pub(crate) struct Rows {
    connection: PgConnection,
}

impl Rows {
    /// Opens the connection; nothing can be written over it.
    pub(crate) async fn connect(source: &SourceAddress, command: &str) -> Result<Self, Fault> {
        let mut connection = session::connect(source, command, Access::Read).await?;
        let index_scans = connection.execute("SET enable_seqscan = off; SET jit = off").await;
        index_scans.map_err(|error| Fault::of_database(&error))?;
        Ok(Self { connection })
    }

    /// The connection itself.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Begins a snapshot: what is visible in it has no predecessor that is not, since a key's writers take turns.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<(), Fault> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = self.connection.execute(begin).await;
        begun.map(drop).map_err(|error| Fault::of_database(&error))
    }

    /// Ends it.
    pub(crate) async fn end_snapshot(&mut self) -> Result<(), Fault> {
        let ended = self.connection.execute("COMMIT").await;
        ended.map(drop).map_err(|error| Fault::of_database(&error))
    }

    /// The smallest number that the table has a place for.
    pub(crate) async fn first_number(&mut self) -> Result<i64, Fault> {
        let first = sqlx::query_file_scalar!("sql/read_first_number.sql")
            .fetch_one(&mut self.connection)
            .await;
        Ok(first.map_err(|error| Fault::of_database(&error))?.unwrap_or(0))
    }

    /// The entries within `runs` from the smallest number on, a page at most; none are left once the page is empty. What the page has
    /// passed is taken out of `runs`.
    pub(crate) async fn page(&mut self, runs: &mut Gaps) -> Result<Vec<Entry>, Fault> {
        let (firsts, lasts): (Vec<i64>, Vec<i64>) =
            runs.iter().map(|run| (run.first, run.last)).unzip();
        let read = sqlx::query_file!("sql/read_entries.sql", &firsts, &lasts, limit())
            .fetch_all(&mut self.connection)
            .await;
        let entries: Vec<Entry> = read
            .map_err(|error| Fault::of_database(&error))?
            .into_iter()
            .map(|row| Entry {
                number: row.sequence,
                id: row.id,
                topic: row.aggregatetype,
                key: row.aggregateid,
                source: row.source,
                created_at: row.created_at,
                bytes: i64::from(row.bytes),
            })
            .collect();
        let passed = match entries.last() {
            Some(last) if entries.len() == PAGE => last.number,
            Some(_) | None => i64::MAX,
        };
        runs.remove(Run { first: i64::MIN, last: passed });
        Ok(entries)
    }

    /// The oldest entry, if there is any.
    pub(crate) async fn oldest(&mut self) -> Result<Option<Entry>, Fault> {
        let mut everything = run(0, i64::MAX);
        Ok(self.page(&mut everything).await?.into_iter().next())
    }

    /// The whole rows of these numbers, as far as they are there; see [`chunks`].
    pub(crate) async fn whole(&mut self, numbers: &[i64]) -> Result<Vec<OutboxRow>, Fault> {
        sqlx::query_as(include_str!("../../sql/read_rows.sql"))
            .bind(numbers)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| Fault::of_database(&error))
    }

    /// Closes the connection.
    pub(crate) async fn close(self) -> Result<(), Fault> {
        self.connection.close().await.map_err(|error| Fault::of_database(&error))
    }
}

/// The numbers from `first` to `last`, if there are any.
pub(crate) fn run(first: i64, last: i64) -> Gaps {
    let mut run = Gaps::default();
    if first <= last {
        run.insert(Run { first, last });
    }
    run
}

/// The numbers of `entries` in portions of which each fits into memory.
pub(crate) fn chunks(entries: &[Entry]) -> Vec<Vec<i64>> {
    let mut chunks: Vec<Vec<i64>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.bytes;
        match chunks.last_mut() {
            Some(chunk) if bytes <= CHUNK_BYTES && chunk.len() < CHUNK_ROWS => {
                chunk.push(entry.number);
            }
            Some(_) | None => {
                chunks.push(vec![entry.number]);
                bytes = entry.bytes;
            }
        }
    }
    chunks
}

fn limit() -> i64 {
    i64::try_from(PAGE).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_holds_few_rows_and_few_bytes_but_always_one_row() {
        let entry = |number, bytes| Entry {
            number,
            id: Uuid::nil(),
            topic: String::new(),
            key: String::new(),
            source: String::new(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            bytes,
        };
        let entries = [
            entry(1, 10),
            entry(2, CHUNK_BYTES - 10),
            entry(3, 1),
            entry(4, 9 * CHUNK_BYTES),
            entry(5, 1),
        ];
        assert_eq!(chunks(&entries), [vec![1, 2], vec![3], vec![4], vec![5]]);
        let many: Vec<Entry> = (0..1_001).map(|number| entry(number, 1)).collect();
        assert_eq!(chunks(&many).iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 1]);
    }
}
