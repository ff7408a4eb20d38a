//! The outbox table, over the one connection that holds the source's lock.
//!
//! Whoever holds the lock reads; when the connection is gone, so is the lock, and nobody may send what it has read.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use pgwire_replication::Lsn;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use thiserror::Error;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::core::holders::Holder;
use crate::core::progress::Identity;
use crate::core::quiet::{Fate, Fates};
use crate::fault::Fault;
use crate::finding::Finding;
use crate::source::connecting::connect;
use crate::source::row::OutboxRow;
use crate::source::{identity, requirements};

/// How long connecting may take, and one statement.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How often others are given the time to write to disk before the relay does.
const LOOKS_BEFORE_FLUSH: u32 = 3;

/// How much time each time.
const FLUSH_PAUSE: Duration = Duration::from_micros(500);

/// The first half of the leadership lock's key; the second is the sequence's oid. Spells "obox".
pub(crate) const LEADER_LOCK: i32 = 0x6f62_6f78;

/// Settings of the relay's own session: index scans in number order at any size of the table, and no waiting without end.
const SESSION: [(&str, &str); 9] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("statement_timeout", "8s"),
    ("lock_timeout", "4s"),
    // The leader's beat is also what forces other transactions' commits to disk.
    ("synchronous_commit", "local"),
];

/// What goes wrong with the database.
#[derive(Debug, Error)]
pub(crate) enum DatabaseError {
    /// There is no connection.
    #[error("{0}")]
    Connect(Fault),
    /// The database refused or the connection broke.
    #[error("{}", Fault::of_database(.0))]
    Database(sqlx::Error),
    /// There is no outbox, or an older one.
    #[error("{}", Fault::of_database(.0))]
    NoOutbox(sqlx::Error),
    /// It did not answer.
    #[error("the database has not answered within 8 s")]
    Timeout(#[from] tokio::time::error::Elapsed),
    /// It lacks something that the relay needs.
    #[error(transparent)]
    Unfit(#[from] Fault),
    /// `init` has not run, or its row was removed.
    #[error("messaging.outbox_epoch has no row: run `outbox-relay init` on this database")]
    NoEpoch,
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        // Undefined table, column or function; invalid schema.
        let missing = ["42P01", "42703", "42883", "3F000"];
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) if missing.contains(&code.as_ref()) => Self::NoOutbox(error),
            Some(_) | None => Self::Database(error),
        }
    }
}

/// Who leads a source, as the database shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeaderSeen {
    /// The process id of its connection's backend.
    pub(crate) pid: i32,
    /// When that connected, if this may be seen.
    pub(crate) connected_at: Option<String>,
    /// Its host and process id.
    pub(crate) instance: String,
    /// When it was last alive: any token that changes.
    pub(crate) beat_at: String,
}

/// What an operator wants done with a parked key.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) id: Uuid,
    pub(crate) command: String,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) event_id: Uuid,
    pub(crate) payload: Option<Vec<u8>>,
}

/// The connection that holds the lock, or tries to.
pub(crate) struct Database {
    connection: PgConnection,
}

impl Database {
    /// Opens the connection.
    pub(crate) async fn connect(url: &str) -> Result<Self, DatabaseError> {
        let session =
            |options: PgConnectOptions| options.application_name("outbox-relay").options(SESSION);
        let connection = connect(url, session).await.map_err(DatabaseError::Connect)?;
        Ok(Self { connection })
    }

    /// Tries to become the one that reads. The lock lasts as long as the connection.
    pub(crate) async fn try_lead(&mut self) -> Result<bool, DatabaseError> {
        let locked = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(
                $1, ('messaging.outbox_sequence'::regclass::oid::bigint - 2147483648)::integer
            ) AS "locked!""#,
            LEADER_LOCK
        )
        .fetch_one(&mut self.connection);
        Ok(tokio::time::timeout(TIMEOUT, locked).await??)
    }

    /// Who holds the lock, if anybody does.
    pub(crate) async fn leader(&mut self) -> Result<Option<LeaderSeen>, DatabaseError> {
        let leader =
            sqlx::query_file_as!(LeaderSeen, "sql/read_leader.sql", i64::from(LEADER_LOCK))
                .fetch_optional(&mut self.connection);
        Ok(tokio::time::timeout(TIMEOUT, leader).await??)
    }

    /// Ends another's connection, which must be of the same role.
    pub(crate) async fn terminate(&mut self, pid: i32) -> Result<(), DatabaseError> {
        let terminated = sqlx::query_scalar!(r#"SELECT pg_terminate_backend($1) AS "done!""#, pid)
            .fetch_one(&mut self.connection);
        tokio::time::timeout(TIMEOUT, terminated).await??;
        Ok(())
    }

    /// Says that the leader is alive. Answers whether an operator's command waits.
    pub(crate) async fn beat(&mut self, instance: &str) -> Result<bool, DatabaseError> {
        let waiting = sqlx::query_scalar!(
            r#"UPDATE messaging.outbox_leader SET instance = $1, beat_at = clock_timestamp()
            RETURNING EXISTS (
                SELECT FROM messaging.outbox_command WHERE answered_at IS NULL
            ) AS "waiting!""#,
            instance
        )
        .fetch_one(&mut self.connection);
        Ok(tokio::time::timeout(TIMEOUT, waiting).await??)
    }

    /// The oldest command that is not answered.
    pub(crate) async fn next_command(&mut self) -> Result<Option<Command>, DatabaseError> {
        let command = sqlx::query_as!(
            Command,
            "SELECT id, command, aggregatetype AS topic, aggregateid AS key, event_id, payload
            FROM messaging.outbox_command
            WHERE answered_at IS NULL
            ORDER BY requested_at, id
            LIMIT 1"
        )
        .fetch_optional(&mut self.connection);
        Ok(tokio::time::timeout(TIMEOUT, command).await??)
    }

    /// Answers a command.
    pub(crate) async fn answer(
        &mut self,
        command_id: Uuid,
        answer: &str,
        succeeded: bool,
    ) -> Result<(), DatabaseError> {
        let update = sqlx::query!(
            "UPDATE messaging.outbox_command
            SET answered_at = clock_timestamp(), answer = $2, succeeded = $3
            WHERE id = $1",
            command_id,
            answer,
            succeeded
        )
        .execute(&mut self.connection);
        tokio::time::timeout(TIMEOUT, update).await??;
        Ok(())
    }

    /// Waits until all that the snapshots of this connection have shown is on disk, so that it cannot be lost in a crash of the
    /// server: a transaction committed with `synchronous_commit = off` is visible before it is durable.
    pub(crate) async fn until_durable(&mut self, instance: &str) -> Result<(), DatabaseError> {
        let (inserted, mut flushed) = self.wal().await?;
        let mut looks = 0;
        while flushed < inserted {
            looks += 1;
            if looks > LOOKS_BEFORE_FLUSH {
                // Nobody is writing to disk just now. The beat's own commit does.
                self.beat(instance).await?;
            } else {
                tokio::time::sleep(FLUSH_PAUSE).await;
            }
            (_, flushed) = self.wal().await?;
        }
        Ok(())
    }

    /// How far WAL has been written, in memory and on disk.
    async fn wal(&mut self) -> Result<(i64, i64), DatabaseError> {
        let wal = sqlx::query_file!("sql/read_wal.sql").fetch_one(&mut self.connection);
        let wal = tokio::time::timeout(TIMEOUT, wal).await??;
        Ok((wal.inserted, wal.flushed))
    }

    /// Refuses a database that lacks something the relay needs.
    pub(crate) async fn check_requirements(&mut self) -> Result<(), DatabaseError> {
        let findings = requirements::check(&mut self.connection);
        let findings = tokio::time::timeout(TIMEOUT, findings).await??;
        match findings.into_iter().find_map(Finding::into_fault) {
            Some(fault) => Err(fault.into()),
            None => Ok(()),
        }
    }

    /// Which table this is, and whether anything of it has ever been published.
    pub(crate) async fn identity(&mut self) -> Result<(Identity, bool), DatabaseError> {
        let found = identity::read(&mut self.connection);
        tokio::time::timeout(TIMEOUT, found).await??.ok_or(DatabaseError::NoEpoch)
    }

    /// Marks the epoch before anything of it is published.
    pub(crate) async fn mark_published(&mut self) -> Result<(), DatabaseError> {
        let update = sqlx::query!(
            "UPDATE messaging.outbox_epoch SET published_at = now() WHERE published_at IS NULL"
        )
        .execute(&mut self.connection);
        tokio::time::timeout(TIMEOUT, update).await??;
        Ok(())
    }

    /// The last number that was drawn, 0 if none was.
    pub(crate) async fn last_value(&mut self) -> Result<i64, DatabaseError> {
        let last = identity::last_value(&mut self.connection);
        Ok(tokio::time::timeout(TIMEOUT, last).await??)
    }

    /// Who may still fill a gap, as of now.
    pub(crate) async fn holders(&mut self) -> Result<Vec<Holder>, DatabaseError> {
        let rows = sqlx::query_file!("sql/read_holders.sql").fetch_all(&mut self.connection);
        let rows = tokio::time::timeout(TIMEOUT, rows).await??;
        Ok(rows
            .into_iter()
            .map(|row| Holder {
                prepared: row.pid.is_none(),
                name: match (row.pid, row.gid) {
                    (Some(pid), _) if row.state.is_none() => {
                        let role = row.role;
                        format!(
                            "pid {pid} (GRANT pg_read_all_stats TO {role} tells whether it idles)"
                        )
                    }
                    (Some(pid), _) => format!("pid {pid}"),
                    (None, Some(gid)) => format!("prepared transaction '{gid}'"),
                    (None, None) => format!("transaction {}", row.virtual_transaction),
                },
                id: row.virtual_transaction,
                transaction_id: row.transaction_id,
                idle_since: row.idle_since,
            })
            .collect())
    }

    /// The highest of these numbers that is visible, and the end of the WAL after that was seen.
    pub(crate) async fn audit_stream(
        &mut self,
        numbers: Run,
    ) -> Result<(Option<i64>, Lsn), DatabaseError> {
        let audit = sqlx::query_file!("sql/audit_stream.sql", numbers.first, numbers.last)
            .fetch_one(&mut self.connection);
        let audit = tokio::time::timeout(TIMEOUT, audit).await??;
        Ok((audit.highest, Lsn(audit.end.cast_unsigned())))
    }

    /// Begins a snapshot in which gaps and page are read together.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<(), DatabaseError> {
        let begin = self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        tokio::time::timeout(TIMEOUT, begin).await??;
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn end_snapshot(&mut self) -> Result<(), DatabaseError> {
        tokio::time::timeout(TIMEOUT, self.connection.execute("COMMIT")).await??;
        Ok(())
    }

    /// What has become of transactions, as the snapshot has it that was begun.
    pub(crate) async fn fates(&mut self, transactions: &[i64]) -> Result<Fates, DatabaseError> {
        let rows = sqlx::query_file!("sql/read_fates.sql", transactions);
        let rows = tokio::time::timeout(TIMEOUT, rows.fetch_all(&mut self.connection)).await??;
        let fate = |in_progress, rolled_back| match (in_progress, rolled_back) {
            (_, true) => Fate::RolledBack,
            (true, false) => Fate::InProgress,
            (false, false) => Fate::Ended,
        };
        Ok(rows.into_iter().map(|row| (row.id, fate(row.in_progress, row.rolled_back))).collect())
    }

    /// The committed rows in the open gaps, ascending, at most `limit`.
    pub(crate) fn look_up<'a>(
        &'a mut self,
        gaps: &Gaps,
        limit: i64,
    ) -> BoxStream<'a, Result<OutboxRow, DatabaseError>> {
        let (firsts, lasts): (Vec<i64>, Vec<i64>) =
            gaps.iter().map(|run| (run.first, run.last)).unzip();
        let rows = sqlx::query_as(include_str!("../../sql/look_up_gaps.sql"));
        let rows = rows.bind(firsts).bind(lasts).bind(limit).fetch(&mut self.connection);
        rows.map_err(DatabaseError::from).boxed()
    }

    /// The committed rows above `head` and up to `end`, ascending, at most `limit`.
    pub(crate) fn page(
        &mut self,
        head: i64,
        end: i64,
        limit: i64,
    ) -> BoxStream<'_, Result<OutboxRow, DatabaseError>> {
        let rows = sqlx::query_as(include_str!("../../sql/read_page.sql"));
        let rows = rows.bind(head).bind(end).bind(limit).fetch(&mut self.connection);
        rows.map_err(DatabaseError::from).boxed()
    }

    /// The committed rows of one key from `first` to `last`, ascending, at most `limit`.
    pub(crate) fn held<'a>(
        &'a mut self,
        topic: &'a str,
        key: &'a str,
        first: i64,
        last: i64,
        limit: i64,
    ) -> BoxStream<'a, Result<OutboxRow, DatabaseError>> {
        let rows = sqlx::query_as(include_str!("../../sql/read_held.sql"));
        let rows = rows.bind(first).bind(last).bind(topic).bind(key).bind(limit);
        rows.fetch(&mut self.connection).map_err(DatabaseError::from).boxed()
    }

    /// Tries to tell writers that the relay is about to sleep. Refused while one of them is in flight.
    pub(crate) async fn try_sleep(&mut self) -> Result<bool, DatabaseError> {
        let locked = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock('messaging.outbox_sequence'::regclass::oid::bigint) AS "locked!""#
        )
        .fetch_one(&mut self.connection);
        Ok(tokio::time::timeout(TIMEOUT, locked).await??)
    }

    /// Tells them that it is awake.
    pub(crate) async fn wake(&mut self) -> Result<(), DatabaseError> {
        let unlocked = sqlx::query_scalar!(
            r#"SELECT pg_advisory_unlock('messaging.outbox_sequence'::regclass::oid::bigint) AS "unlocked!""#
        )
        .fetch_one(&mut self.connection);
        tokio::time::timeout(TIMEOUT, unlocked).await??;
        Ok(())
    }

    /// Closes the connection, which releases the lock.
    pub(crate) async fn close(self) -> Result<(), DatabaseError> {
        tokio::time::timeout(TIMEOUT, self.connection.close()).await??;
        Ok(())
    }
}
