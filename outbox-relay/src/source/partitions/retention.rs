//! Drops partitions that nobody needs any more: wholly published, with nothing open or waiting in them, for longer than the
//! retention.
//!
//! The age counts from when the relay first saw the partition wholly published, and not from when its rows were written: what
//! was published late, after a long outage of Kafka, is kept for replays as long as everything else.
//!
//! `DROP TABLE` of a partition would queue an exclusive lock on the parent behind any open writer. `DETACH … CONCURRENTLY` locks
//! nothing that a writer needs: it marks the partition as being detached, which hides it from new statements, commits, waits
//! without a lock for every transaction that uses the parent, and finishes. An interruption of that wait, such as the lock timeout behind a
//! writer open for long, leaves the partition marked, and `FINALIZE` ends it: this waits for older snapshots only, which a
//! writer between two statements has none of.

use std::cmp::Ordering;
use std::str::FromStr;

use time::{Duration, OffsetDateTime};

use crate::core::published::Published;
use crate::metrics::PartitionMetrics;
use crate::source::partitions::PartitionsError;
use crate::source::partitions::ddl::Ddl;
use crate::source::partitions::mark::Mark;
use crate::source::partitions::present::{Partition, Present};

/// For how long published partitions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    /// For ever.
    Off,
    /// So long from when all of a partition is published.
    For(Duration),
}

impl FromStr for Retention {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "it is a number with one of s, m, h and d, such as 7d, or `off`";
        if text == "off" {
            return Ok(Self::Off);
        }
        let unit = text.chars().last().ok_or(WANTED)?;
        let number: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| WANTED)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _other => return Err(WANTED),
        };
        Ok(Self::For(Duration::seconds(i64::from(number) * seconds)))
    }
}

/// What is to be done with a partition all of whose numbers are published.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Write on it that it is published since now.
    Mark,
    /// Keep it for so long.
    Keep(Duration),
    /// Drop it.
    Drop,
}

/// Drops what may go. Answers how long it is until the next one may, if one is waiting for its time.
pub(super) async fn retire(
    ddl: &mut Ddl,
    present: &Present,
    published: Option<&Published>,
    retention: Retention,
    metrics: &PartitionMetrics,
) -> Result<Option<Duration>, PartitionsError> {
    finish(ddl, present, metrics).await?;
    let (Retention::For(retention), Some(published)) = (retention, published) else {
        return Ok(None);
    };
    let mut wait = None;
    for partition in expendable(present, published) {
        match decide(partition.mark, present.now, retention) {
            Decision::Mark => {
                mark(ddl, partition, Mark { since: present.now, doomed: false }).await?;
                wait.get_or_insert(retention);
            }
            Decision::Keep(duration) => {
                wait.get_or_insert(duration);
            }
            // In the order of their numbers: what is left has no holes.
            Decision::Drop if wait.is_some() => {}
            Decision::Drop => {
                let since = partition.mark.map_or(present.now, |mark| mark.since);
                mark(ddl, partition, Mark { since, doomed: true }).await?;
                detach(ddl, partition).await?;
                drop_table(ddl, &partition.table, metrics).await?;
            }
        }
    }
    Ok(wait)
}

/// The partitions that hold no number that is still to be published or still to come, lowest first.
fn expendable<'a>(
    present: &'a Present,
    published: &Published,
) -> impl Iterator<Item = &'a Partition> {
    // What another table's progress says, or a number beyond this one's sequence, is of no meaning here.
    let floor =
        if published.identity == present.identity { published.floor.min(present.last) } else { 0 };
    let top = present.attached().map(|partition| partition.first).max().unwrap_or(0);
    present.attached().take_while(move |partition| {
        partition.next.saturating_sub(1) <= floor && partition.next <= top
    })
}

fn decide(mark: Option<Mark>, now: OffsetDateTime, retention: Duration) -> Decision {
    let Some(mark) = mark else { return Decision::Mark };
    let age = now - mark.since;
    // The clock was set back: the age is not known, and counts anew.
    if age.is_negative() {
        return Decision::Mark;
    }
    match age.cmp(&retention) {
        Ordering::Less => Decision::Keep(retention - age),
        Ordering::Equal | Ordering::Greater => Decision::Drop,
    }
}

/// Ends what this relay, one before it or an operator has begun. What an operator detaches is not dropped.
async fn finish(
    ddl: &mut Ddl,
    present: &Present,
    metrics: &PartitionMetrics,
) -> Result<(), PartitionsError> {
    for table in &present.detached {
        drop_table(ddl, table, metrics).await?;
    }
    for partition in present.partitions.iter().filter(|partition| partition.detaching) {
        let table = &partition.table;
        tracing::info!(partition = table, "finishing to detach a partition");
        finalize(ddl, table).await.map_err(|source| retained(table, source))?;
        if partition.mark.is_some_and(|mark| mark.doomed) {
            drop_table(ddl, table, metrics).await?;
        }
    }
    Ok(())
}

async fn mark(ddl: &mut Ddl, partition: &Partition, mark: Mark) -> Result<(), PartitionsError> {
    let (table, comment) = (&partition.table, mark.comment());
    ddl.execute(format!("COMMENT ON TABLE {table} IS '{comment}'"))
        .await
        .map_err(|source| retained(table, source))
}

async fn detach(ddl: &mut Ddl, partition: &Partition) -> Result<(), PartitionsError> {
    let table = &partition.table;
    let begun = ddl
        .execute(format!("ALTER TABLE messaging.outbox DETACH PARTITION {table} CONCURRENTLY"))
        .await;
    let done = match begun {
        Err(error) if was_cut_short(&error) => finalize(ddl, table).await.map_err(|_| error),
        other => other,
    };
    done.map_err(|source| retained(table, source))
}

async fn finalize(ddl: &mut Ddl, table: &str) -> sqlx::Result<()> {
    ddl.execute(format!("ALTER TABLE messaging.outbox DETACH PARTITION {table} FINALIZE")).await
}

/// Drops a table that is detached.
async fn drop_table(
    ddl: &mut Ddl,
    table: &str,
    metrics: &PartitionMetrics,
) -> Result<(), PartitionsError> {
    ddl.execute(format!("DROP TABLE {table}")).await.map_err(|source| retained(table, source))?;
    metrics.dropped.inc();
    tracing::info!(partition = table, "a partition that is published and old enough is dropped");
    Ok(())
}

/// Whether a statement ended because a lock, or the statement, took too long.
fn was_cut_short(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03" || code == "57014")
}

fn retained(table: &str, source: sqlx::Error) -> PartitionsError {
    PartitionsError::Drop { table: table.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::source::partitions::present::tests::present;

    const NOW: OffsetDateTime = datetime!(2026-11-03 12:00 UTC);

    fn tables(present: &Present, floor: i64) -> Vec<i64> {
        let published = Published { identity: present.identity.clone(), head: 100, floor };
        expendable(present, &published).map(|partition| partition.first).collect()
    }

    #[test]
    fn a_partition_is_expendable_when_all_of_its_numbers_are_done_and_another_follows() {
        let present = present(29, &[(0, 10), (10, 20), (20, 30)]);
        assert_eq!(tables(&present, 8), [0; 0]);
        assert_eq!(tables(&present, 9), [0]);
        assert_eq!(tables(&present, 29), [0, 10], "the last one stays, though it is done with");
    }

    #[test]
    fn what_another_table_s_progress_says_drops_nothing() {
        let present = present(29, &[(0, 10), (10, 20), (20, 30)]);
        let mut published = Published { identity: present.identity.clone(), head: 25, floor: 25 };
        published.identity.timeline += 1;
        assert_eq!(expendable(&present, &published).count(), 0);
    }

    #[test]
    fn a_sequence_that_went_back_keeps_the_partitions_that_it_fills_again() {
        let present = present(12, &[(0, 10), (10, 20), (20, 30)]);
        assert_eq!(tables(&present, 29), [0]);
    }

    #[test]
    fn the_age_counts_from_the_mark_and_anew_when_the_clock_was_set_back() {
        let marked = |since| Some(Mark { since, doomed: false });
        let week = Duration::days(7);
        assert_eq!(decide(None, NOW, week), Decision::Mark);
        assert_eq!(decide(None, NOW, Duration::ZERO), Decision::Mark);
        assert_eq!(decide(marked(NOW), NOW, Duration::ZERO), Decision::Drop);
        assert_eq!(
            decide(marked(NOW - Duration::days(6)), NOW, week),
            Decision::Keep(Duration::DAY)
        );
        assert_eq!(decide(marked(NOW - week), NOW, week), Decision::Drop);
        assert_eq!(decide(marked(NOW + Duration::SECOND), NOW, week), Decision::Mark);
    }

    #[test]
    fn a_retention_is_a_number_with_a_unit() {
        let parsed = |text: &str| text.parse::<Retention>();
        assert_eq!(parsed("off"), Ok(Retention::Off));
        assert_eq!(parsed("7d"), Ok(Retention::For(Duration::days(7))));
        assert_eq!(parsed("0s"), Ok(Retention::For(Duration::ZERO)));
        assert_eq!(parsed("90m"), Ok(Retention::For(Duration::minutes(90))));
        for wrong in ["", "7", "d", "-1d", "7w", "1.5h", "7é"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
