//! Keeps partitions of the outbox ahead of the sequence, in a way that no writer waits for.
//!
//! `CREATE TABLE … PARTITION OF` would lock the parent exclusively and queue all writers behind the longest open one. Creating
//! the table by itself and attaching it takes a lock on the parent that writers do not mind.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::time::{sleep, timeout};

use crate::metrics::SourceMetrics;
use crate::source::chain;
use crate::source::database::DatabaseError;
use crate::status::Status;

/// How often the partitions are counted.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// How soon a failure is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long one round may take.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// How many partitions there should be ahead, and how large new ones are.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    /// Numbers in a new partition.
    pub(crate) rows: i64,
    /// Partitions wanted wholly above the sequence's last value.
    pub(crate) ahead: usize,
}

/// What there is.
struct Present {
    /// Partitions wholly above the sequence's last value.
    ahead: usize,
    /// Where the next one begins; `None` if the last has no upper bound.
    next: Option<i64>,
}

impl Partitions {
    /// Counts and creates, for ever. A failure is a metric at once, and makes the source unready when half the reserve is used.
    pub(crate) async fn keep_ahead(
        &self,
        url: &str,
        status: &Status,
        metrics: &SourceMetrics,
    ) -> Infallible {
        loop {
            let pause = match self.round(url, metrics).await {
                Ok(()) => {
                    status.partitions(None);
                    CHECK_EVERY
                }
                Err(error) => {
                    let reason = chain(&error);
                    metrics.partition_failures.inc();
                    tracing::error!(reason, "partitions cannot be created ahead");
                    let ahead = usize::try_from(metrics.partitions_ahead.get()).unwrap_or(0);
                    let urgent = ahead < self.ahead.div_ceil(2);
                    status.partitions(urgent.then(|| {
                        format!("only {ahead} partitions are ahead of the sequence and no more can be created: {reason}")
                    }));
                    RETRY_AFTER
                }
            };
            sleep(pause).await;
        }
    }

    async fn round(&self, url: &str, metrics: &SourceMetrics) -> Result<(), DatabaseError> {
        timeout(ROUND_TIMEOUT, async {
            let options: PgConnectOptions = url.parse()?;
            let options = options
                .application_name("outbox-relay partitions")
                .options([("lock_timeout", "2s"), ("statement_timeout", "20s")]);
            let mut connection = options.connect().await?;
            let created = self.create_missing(&mut connection, metrics).await;
            connection.close().await?;
            created
        })
        .await?
    }

    async fn create_missing(
        &self,
        connection: &mut PgConnection,
        metrics: &SourceMetrics,
    ) -> Result<(), DatabaseError> {
        loop {
            let present = present(connection).await?;
            metrics.partitions_ahead.set(i64::try_from(present.ahead).unwrap_or(i64::MAX));
            match present.next {
                Some(first) if present.ahead < self.ahead => self.create(connection, first).await?,
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Creates the partition that begins at `first`: as a table, then attached. The CHECK spares ATTACH a scan and has no
    /// further use.
    async fn create(&self, connection: &mut PgConnection, first: i64) -> Result<(), DatabaseError> {
        let end = first.saturating_add(self.rows);
        let name = format!("outbox_p{:08}", first / self.rows);
        tracing::info!(partition = name, first, end, "creating a partition ahead");
        let mut transaction = connection.begin().await?;
        for statement in [
            format!("CREATE TABLE messaging.{name} (LIKE messaging.outbox INCLUDING ALL)"),
            format!(
                "ALTER TABLE messaging.{name} ADD CONSTRAINT bounds CHECK (sequence >= {first} AND sequence < {end})"
            ),
            format!(
                "ALTER TABLE messaging.outbox ATTACH PARTITION messaging.{name} FOR VALUES FROM ({first}) TO ({end})"
            ),
            format!("ALTER TABLE messaging.{name} DROP CONSTRAINT bounds"),
        ] {
            // Built of a fixed name and two numbers.
            transaction.execute(AssertSqlSafe(statement)).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn present(connection: &mut PgConnection) -> Result<Present, DatabaseError> {
    let row = sqlx::query_file!("sql/count_partitions.sql").fetch_one(connection).await?;
    Ok(Present {
        ahead: usize::try_from(row.ahead).unwrap_or(0),
        next: if row.unbounded { None } else { Some(row.next) },
    })
}
