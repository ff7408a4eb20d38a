//! Housekeeping of the inbox and the requests: partitions are created ahead of time and dropped whole when they are old.
//!
//! Nobody waits for it. A partition is made beside the table, then attached, which does not conflict with writers; what
//! the default partition holds of its range moves over in the same transaction. Dropping needs the table for an instant.
//! Each transaction gives up after a short [`LOCK_TIMEOUT`] and is tried again later.

use std::time::Duration as StdDuration;

use runtime::Shutdown;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, types::time::OffsetDateTime};
use time::{Date, Duration, Month, macros::format_description};
use tracing::{info, warn};

use crate::failure::{self, Class};

/// How long a change may wait for a lock, and so hold up those who come after it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '100ms'";
const TRIES: u32 = 50;
const PAUSE: StdDuration = StdDuration::from_millis(200);
const INTERVAL: StdDuration = StdDuration::from_secs(60 * 60);

/// A partitioned table: how wide its partitions are, and which stand at any time.
#[derive(Clone, Copy, Debug)]
struct Series {
    table: &'static str,
    columns: &'static str,
    column: &'static str,
    width: Duration,
    behind: Duration,
    ahead: Duration,
    keep: Duration,
    bound: fn(Date) -> String,
}

/// Ids of records up to a topic's retention old may still come for the first time.
const INBOX: Series = Series {
    table: "inbox",
    columns: "event_id, handled_at",
    column: "event_id",
    width: Duration::days(7),
    behind: Duration::days(8),
    ahead: Duration::days(21),
    keep: Duration::days(30),
    bound: first_uuid_of,
};

const REQUESTS: Series = Series {
    table: "requests",
    columns: "rpc, request_id, request_hash, answer, created_at",
    column: "created_at",
    width: Duration::days(1),
    behind: Duration::ZERO,
    ahead: Duration::days(7),
    keep: Duration::days(7),
    bound: midnight_of,
};

/// Creates the partitions that should stand now, and drops those that are too old.
///
/// # Errors
/// What the database says, if it still says so after ten seconds of trying.
pub async fn ensure(pool: &PgPool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let today =
        sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(&mut *connection).await?;
    ensure_at(&mut connection, today).await
}

/// Keeps the partitions until `shutdown`, once an hour; failures are logged and tried again at the next turn.
///
/// # Errors
/// None; the result is what the supervisor wants.
pub async fn maintain(pool: PgPool, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
    loop {
        if let Err(error) = ensure(&pool).await {
            warn!(
                error = runtime::with_causes(&error),
                "partitions not kept, trying again in an hour"
            );
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// As [`ensure`], at a given time.
///
/// # Errors
/// As [`ensure`].
#[doc(hidden)]
pub async fn ensure_at(connection: &mut PgConnection, now: OffsetDateTime) -> sqlx::Result<()> {
    for series in [INBOX, REQUESTS] {
        let standing = standing(connection, series).await?;
        let mut start = series.start_of(now.date() - series.behind);
        while start <= now.date() + series.ahead {
            if !standing.contains(&start) {
                retried(connection, Change::Attach, series, start).await?;
                info!(partition = series.name_of(start), "partition attached");
            }
            start += series.width;
        }
        for start in standing {
            if start + series.width + series.keep <= now.date() {
                retried(connection, Change::Drop, series, start).await?;
                info!(partition = series.name_of(start), "partition dropped");
            }
        }
    }
    let forgotten = now - INBOX.keep;
    sqlx::query!("DELETE FROM messaging.inbox_default WHERE handled_at < $1", forgotten)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "DELETE FROM messaging.requests_default WHERE created_at < $1",
        now - REQUESTS.keep
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl Series {
    /// The first day of the partition that holds `day`: whole widths since 1970.
    fn start_of(self, day: Date) -> Date {
        let width = i32::try_from(self.width.whole_days()).unwrap_or(1);
        let epoch =
            Date::from_calendar_date(1970, Month::January, 1).map_or(0, Date::to_julian_day);
        let days = day.to_julian_day() - epoch;
        day - Duration::days(i64::from(days.rem_euclid(width)))
    }

    fn name_of(self, start: Date) -> String {
        format!(
            "{}_{:04}{:02}{:02}",
            self.table,
            start.year(),
            u8::from(start.month()),
            start.day()
        )
    }
}

async fn standing(connection: &mut PgConnection, series: Series) -> sqlx::Result<Vec<Date>> {
    let names = sqlx::query_scalar!(
        r#"SELECT child.relname AS "name!"
           FROM pg_catalog.pg_inherits
           JOIN pg_catalog.pg_class child ON child.oid = inhrelid
           WHERE inhparent = ('messaging.' || $1)::text::regclass
           ORDER BY child.relname"#,
        series.table
    )
    .fetch_all(connection)
    .await?;
    let day = format_description!("[year][month][day]");
    let start = |name: String| Date::parse(name.rsplit('_').next()?, &day).ok();
    Ok(names.into_iter().filter_map(start).collect())
}

/// Makes `change`, again while it loses the race for a lock.
async fn retried(
    connection: &mut PgConnection,
    change: Change,
    series: Series,
    start: Date,
) -> sqlx::Result<()> {
    for _ in 1..TRIES {
        match change.make(connection, series, start).await {
            Err(error) if is_busy(&error) => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
    change.make(connection, series, start).await
}

/// What is done with a partition.
#[derive(Clone, Copy, Debug)]
enum Change {
    Attach,
    Drop,
}

impl Change {
    async fn make(
        self,
        connection: &mut PgConnection,
        series: Series,
        start: Date,
    ) -> sqlx::Result<()> {
        match self {
            Self::Attach => attach(connection, series, start).await,
            Self::Drop => drop_partition(connection, series, start).await,
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let lock_timeout =
        error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03"));
    lock_timeout || failure::classify(error) == Class::Contention
}

async fn attach(connection: &mut PgConnection, series: Series, start: Date) -> sqlx::Result<()> {
    let Series { table, columns, column, .. } = series;
    let name = series.name_of(start);
    let (from, to) = ((series.bound)(start), (series.bound)(start + series.width));
    let mut transaction = begin(connection).await?;
    if exists(&mut transaction, &name).await? {
        return transaction.rollback().await;
    }
    for statement in [
        format!(
            "CREATE TABLE messaging.{name} (
                 LIKE messaging.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES,
                 CONSTRAINT bounds CHECK ({column} >= '{from}' AND {column} < '{to}')
             )"
        ),
        // Nobody adds to the range between the move and the attachment.
        format!("LOCK TABLE ONLY messaging.{table}_default IN ACCESS EXCLUSIVE MODE"),
        format!(
            "WITH moved AS (
                 DELETE FROM messaging.{table}_default
                 WHERE {column} >= '{from}' AND {column} < '{to}' RETURNING {columns}
             ) INSERT INTO messaging.{name} ({columns}) SELECT {columns} FROM moved"
        ),
        format!(
            "ALTER TABLE messaging.{table} ATTACH PARTITION messaging.{name}
             FOR VALUES FROM ('{from}') TO ('{to}')"
        ),
        format!("ALTER TABLE messaging.{name} DROP CONSTRAINT bounds"),
    ] {
        execute(&mut transaction, statement).await?;
    }
    transaction.commit().await
}

async fn drop_partition(
    connection: &mut PgConnection,
    series: Series,
    start: Date,
) -> sqlx::Result<()> {
    let mut transaction = begin(connection).await?;
    let statement = format!("DROP TABLE IF EXISTS messaging.{}", series.name_of(start));
    execute(&mut transaction, statement).await?;
    transaction.commit().await
}

/// Begins a change that alone may touch partitions, and that does not wait long.
async fn begin(
    connection: &mut PgConnection,
) -> sqlx::Result<sqlx::Transaction<'_, sqlx::Postgres>> {
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtext('messaging.partitions'), 0) IS NULL AS locked"
    )
    .fetch_one(&mut *transaction)
    .await?;
    Ok(transaction)
}

async fn exists(connection: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT to_regclass('messaging.' || $1::text) IS NOT NULL AS "exists!""#,
        name
    )
    .fetch_one(connection)
    .await
}

/// Runs a statement made of this module's constants and of dates.
async fn execute(connection: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.map(|_| ())
}

/// The smallest UUIDv7 of a day: 48 bits of milliseconds, then nothing.
fn first_uuid_of(day: Date) -> String {
    let seconds = day.midnight().assume_utc().unix_timestamp();
    let milliseconds = u128::try_from(seconds).unwrap_or_default() * 1000;
    uuid::Uuid::from_u128(milliseconds << 80).to_string()
}

fn midnight_of(day: Date) -> String {
    format!("{day} 00:00:00+00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_first_id_is_below_the_ids_of_that_day_and_above_those_of_the_day_before() {
        let today = OffsetDateTime::now_utc().date();
        let id = uuid::Uuid::now_v7().to_string();
        assert!(first_uuid_of(today) <= id);
        assert!(id < first_uuid_of(today + Duration::DAY));
    }

    #[test]
    fn a_partition_starts_at_whole_widths() {
        let start = INBOX.start_of(OffsetDateTime::now_utc().date());
        assert_eq!(INBOX.start_of(start), start);
        assert_eq!(INBOX.start_of(start + Duration::days(6)), start);
        assert_eq!(INBOX.start_of(start + Duration::days(7)), start + Duration::days(7));
    }
}
