//! The replication slot of a source, and the publication that it reads: made, judged and dropped over a plain connection.
//!
//! A slot's name is one for the whole cluster, so it carries the database's oid.

use std::time::Duration;

use pgwire_replication::Lsn;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use crate::source::connecting::connect;
use crate::source::database::DatabaseError;

/// The publication of the outbox's inserts.
pub(super) const PUBLICATION: &str = "messaging_outbox";

/// What every slot of a relay is called, before the database's oid.
const PREFIX: &str = "outbox_relay_";

/// How long one statement may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How long whoever holds the slot may take to let go.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is tried meanwhile.
const RELEASE_EVERY: Duration = Duration::from_millis(100);

/// A slot that can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its name.
    pub(crate) name: String,
    /// It tells of what began to commit at this point or later.
    pub(crate) confirmed: Lsn,
}

/// Why there is no slot to follow.
#[derive(Debug, Error)]
pub(crate) enum SlotError {
    /// The database refuses, or the connection broke.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Somebody has made or changed the publication.
    #[error(
        "publication {PUBLICATION} does not tell of every insert into messaging.outbox: drop it, and the relay makes it again"
    )]
    Publication,
    /// A partition leaves no trace in the WAL.
    #[error("partition {0} is unlogged: its rows are in no WAL")]
    Unlogged(String),
    /// It is lost, or was never the relay's.
    #[error("slot {name}: {reason}")]
    Unusable {
        /// The slot's name.
        name: String,
        /// What the server says.
        reason: String,
    },
    /// It is not there any more.
    #[error("slot {0} was dropped")]
    Gone(String),
    /// It holds back too much.
    #[error(
        "slot {name} held back {retained} bytes of WAL, which is over --wal-budget-bytes, and was dropped"
    )]
    OverBudget {
        /// The slot's name.
        name: String,
        /// What it held back, in bytes.
        retained: u64,
    },
    /// Whoever holds it does not let go.
    #[error("slot {0} is held by a process that does not end")]
    Held(String),
}

impl From<sqlx::Error> for SlotError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<tokio::time::error::Elapsed> for SlotError {
    fn from(elapsed: tokio::time::error::Elapsed) -> Self {
        Self::Database(elapsed.into())
    }
}

/// A slot as the server shows it.
struct Shown {
    active_pid: Option<i32>,
    confirmed: Option<i64>,
    unusable: Option<String>,
    retained: u64,
}

/// The slot of one database, which may or may not be there.
pub(super) struct Slots {
    connection: PgConnection,
    url: String,
    name: String,
}

impl Slots {
    pub(super) async fn connect(url: &str) -> Result<Self, SlotError> {
        let mut connection =
            open(url, [("lock_timeout", "2s"), ("statement_timeout", "8s")]).await?;
        let oid = sqlx::query_scalar!(
            r#"SELECT oid::bigint AS "oid!" FROM pg_database WHERE datname = current_database()"#
        )
        .fetch_one(&mut connection);
        let name = format!("{PREFIX}{}", timeout(TIMEOUT, oid).await??);
        Ok(Self { connection, url: url.to_owned(), name })
    }

    /// Sees to it that there is a publication as it should be; answers whether it was there before.
    pub(super) async fn publish(&mut self) -> Result<bool, SlotError> {
        let found = sqlx::query_file!("sql/read_publication.sql").fetch_one(&mut self.connection);
        let found = timeout(TIMEOUT, found).await??;
        if let Some(partition) = found.unlogged {
            return Err(SlotError::Unlogged(partition));
        }
        if found.exists {
            return if found.whole { Ok(true) } else { Err(SlotError::Publication) };
        }
        let create = self.connection.execute(
            "CREATE PUBLICATION messaging_outbox FOR TABLE messaging.outbox
            WITH (publish = 'insert', publish_via_partition_root = true)",
        );
        timeout(TIMEOUT, create).await??;
        Ok(false)
    }

    /// The slot, if it can be followed and holds back no more than `budget` bytes. Whoever holds it is made to let go.
    pub(super) async fn find(&mut self, budget: u64) -> Result<Slot, SlotError> {
        let began = Instant::now();
        loop {
            let shown = self.judge(budget).await?;
            match (shown.active_pid, shown.confirmed) {
                (None, Some(confirmed)) => return Ok(self.slot(confirmed)),
                (Some(pid), _) => self.terminate(pid).await?,
                (None, None) => {}
            }
            if began.elapsed() > RELEASE_TIMEOUT {
                return Err(SlotError::Held(self.name.clone()));
            }
            sleep(RELEASE_EVERY).await;
        }
    }

    /// How much WAL the slot holds back, if it is as good as it was.
    pub(super) async fn retained(&mut self, budget: u64) -> Result<u64, SlotError> {
        Ok(self.judge(budget).await?.retained)
    }

    /// Makes the slot, which takes until every transaction that is writing now, anywhere in the cluster, has ended.
    pub(super) async fn create(&self) -> Result<Slot, SlotError> {
        let unlimited = [("lock_timeout", "0"), ("statement_timeout", "0")];
        let mut connection = open(&self.url, unlimited).await?;
        let confirmed = sqlx::query_scalar!(
            r#"SELECT (lsn - '0/0')::bigint AS "confirmed!"
            FROM pg_create_logical_replication_slot($1::text::name, 'pgoutput')"#,
            self.name
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(self.slot(confirmed))
    }

    /// Drops the slot, if it is there, and ends whoever holds it.
    pub(super) async fn drop_slot(&mut self) -> Result<(), SlotError> {
        let began = Instant::now();
        while let Some(shown) = self.show().await? {
            match shown.active_pid {
                Some(pid) => self.terminate(pid).await?,
                None => self.try_drop().await?,
            }
            if began.elapsed() > RELEASE_TIMEOUT {
                return Err(SlotError::Held(self.name.clone()));
            }
            sleep(RELEASE_EVERY).await;
        }
        Ok(())
    }

    pub(super) async fn close(self) -> Result<(), SlotError> {
        timeout(TIMEOUT, self.connection.close()).await??;
        Ok(())
    }

    /// The slot as it is, unless it is of no use.
    async fn judge(&mut self, budget: u64) -> Result<Shown, SlotError> {
        let name = self.name.clone();
        let shown = self.show().await?.ok_or_else(|| SlotError::Gone(name.clone()))?;
        match shown.unusable {
            Some(reason) => Err(SlotError::Unusable { name, reason }),
            None if shown.retained > budget => {
                Err(SlotError::OverBudget { name, retained: shown.retained })
            }
            None => Ok(shown),
        }
    }

    async fn show(&mut self) -> Result<Option<Shown>, SlotError> {
        let row =
            sqlx::query_file!("sql/read_slot.sql", self.name).fetch_optional(&mut self.connection);
        Ok(timeout(TIMEOUT, row).await??.map(|row| Shown {
            active_pid: row.active_pid,
            confirmed: row.confirmed,
            unusable: row.unusable,
            retained: u64::try_from(row.retained).unwrap_or(0),
        }))
    }

    async fn terminate(&mut self, pid: i32) -> Result<(), SlotError> {
        let end = sqlx::query!(r#"SELECT pg_terminate_backend($1) AS "ended!""#, pid)
            .fetch_one(&mut self.connection);
        timeout(TIMEOUT, end).await??;
        Ok(())
    }

    /// Drops it, unless somebody took it or dropped it meanwhile.
    async fn try_drop(&mut self) -> Result<(), SlotError> {
        let drop = sqlx::query!("SELECT pg_drop_replication_slot($1::text::name)", self.name)
            .execute(&mut self.connection);
        match timeout(TIMEOUT, drop).await? {
            Ok(_) => Ok(()),
            Err(error) if overtaken(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn slot(&self, confirmed: i64) -> Slot {
        Slot { name: self.name.clone(), confirmed: Lsn(confirmed.unsigned_abs()) }
    }
}

async fn open(url: &str, limits: [(&str, &str); 2]) -> Result<PgConnection, SlotError> {
    let session =
        |options: PgConnectOptions| options.application_name("outbox-relay slot").options(limits);
    connect(url, session).await.map_err(|fault| DatabaseError::Connect(fault).into())
}

/// Whether the slot is in use, or not there any more.
fn overtaken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55006" || code == "42704")
}
