//! One look at a source.

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::operator::arguments::ProgressArgs;
use crate::operator::session::{Access, connect};
use crate::operator::standing::{self, Standing};
use crate::operator::status::report::{Count, Gaps, SourceStatus, Waiting};
use crate::operator::{leader, transactions};
use crate::sources::SourceAddress;

/// Up to so many rows are counted; beyond that their number is taken from the sequence.
const COUNTED: i64 = 10_000;

/// In so many open runs rows are looked for.
const RUNS: usize = 1_000;

/// So many numbers are gone through for rows above the head, and as many of the open ones: to go past a row that is not visible takes as
/// long as to count one that is.
const REACH: i64 = 100_000;

/// How far a source was at a point in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When.
    pub(crate) at: Instant,
    /// How many numbers had been done with.
    pub(crate) done: i64,
    /// How many had been drawn.
    pub(crate) drawn: i64,
}

/// How far the source is.
pub(crate) async fn sample(
    source: &SourceAddress,
    progress: &ProgressArgs,
) -> Result<Sample, Fault> {
    let mut connection = connect(source, "status", Access::Read).await?;
    let at = Instant::now();
    let standing = standing::read(&mut connection, progress, &source.name).await?;
    Ok(Sample::of(&standing, at))
}

impl Sample {
    fn of(standing: &Standing, at: Instant) -> Self {
        let done = standing.position.head() - standing.open_numbers();
        Self { at, done, drawn: standing.last_value }
    }
}

/// Everything there is to tell of a source. Fails if its database tells nothing; without its progress, the rest is told.
pub(crate) async fn look(
    source: &SourceAddress,
    progress: &ProgressArgs,
) -> Result<(SourceStatus, Option<Sample>), Fault> {
    let mut connection = connect(source, "status", Access::Read).await?;
    let of_database = |error| Fault::of_database(&error);
    let mut status = SourceStatus::named(&source.name);
    let leader = leader::read(&mut connection).await.map_err(of_database)?;
    status.trouble.extend(leader.trouble());
    status.leader = Some(leader);
    status.partitions_ahead = Some(partitions_ahead(&mut connection).await.map_err(of_database)?);
    let at = Instant::now();
    let standing = match standing::read(&mut connection, progress, &source.name).await {
        Ok(standing) => standing,
        Err(fault) => {
            status.trouble.push(fault);
            return Ok((status, None));
        }
    };
    status.trouble.extend(standing.fault());
    if standing.discontinuity.is_some() {
        return Ok((status, None));
    }
    status.head = Some(standing.position.head());
    status.watermark = Some(standing.position.watermark());
    status.last_value = Some(standing.last_value);
    status.parked_keys = Some(standing.parked.len());
    if standing.parked.len() > 0 {
        status.trouble.push(Fault::new(
            format!("{} keys are parked", standing.parked.len()),
            "see `outbox-relay parked list`",
        ));
    }
    status.waiting = Some(waiting(&mut connection, &standing).await.map_err(of_database)?);
    status.gaps = Some(gaps(&mut connection, &standing).await.map_err(of_database)?);
    Ok((status, Some(Sample::of(&standing, at))))
}

async fn partitions_ahead(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    Ok(sqlx::query_file!("sql/check_partitions.sql").fetch_one(connection).await?.ahead)
}

async fn waiting(
    connection: &mut PgConnection,
    standing: &Standing,
) -> Result<Waiting, sqlx::Error> {
    let mut open = standing.position.gaps().clone();
    let (firsts, lasts): (Vec<i64>, Vec<i64>) =
        open.split_first(REACH).iter().take(RUNS).map(|run| (run.first, run.last)).unzip();
    let (head, last) = (standing.position.head(), standing.last_value);
    let end = head.saturating_add(REACH);
    let counted = sqlx::query_file!("sql/count_waiting.sql", head, end, &firsts, &lasts, COUNTED)
        .fetch_one(connection)
        .await?;
    let (rows, count) = if counted.above >= COUNTED {
        (last - head + counted.filled, Count::About)
    } else if last > end || !open.is_empty() || firsts.len() == RUNS || counted.filled >= COUNTED {
        (counted.above + counted.filled, Count::AtLeast)
    } else {
        (counted.above + counted.filled, Count::Exact)
    };
    Ok(Waiting { rows, count, oldest_age: counted.oldest_age })
}

async fn gaps(connection: &mut PgConnection, standing: &Standing) -> Result<Gaps, sqlx::Error> {
    let open = standing.position.gaps();
    let held_by = if open.is_empty() { Vec::new() } else { transactions::read(connection).await? };
    let first = open.iter().next().map(|run| (run.first, run.last));
    Ok(Gaps { runs: open.len(), numbers: standing.open_numbers(), first, held_by })
}
