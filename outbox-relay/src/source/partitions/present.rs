//! The partitions as the catalog shows them, and what follows from that alone.

use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use crate::core::progress::Identity;
use crate::source::database::DatabaseError;
use crate::source::partitions::mark::Mark;

/// One partition: the numbers from `first` on and below `next`.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// Its name, quoted, with its schema.
    pub(super) table: String,
    /// `i64::MIN` if it has no lower bound.
    pub(super) first: i64,
    /// `i64::MAX` if it has no upper bound.
    pub(super) next: i64,
    /// Whether somebody has begun to detach it concurrently: its rows are not seen any more.
    pub(super) detaching: bool,
    pub(super) mark: Option<Mark>,
}

/// What there is at one moment.
#[derive(Debug)]
pub(super) struct Present {
    /// The table that was looked at.
    pub(super) identity: Identity,
    /// The database's clock.
    pub(super) now: OffsetDateTime,
    /// The last number drawn, 0 if none was.
    pub(super) last: i64,
    /// In the order of their numbers.
    pub(super) partitions: Vec<Partition>,
    /// The default partition, if somebody has made one.
    pub(super) default: Option<String>,
    /// Tables that are detached already and were to be dropped.
    pub(super) detached: Vec<String>,
}

impl Present {
    /// Looks at the catalog.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, DatabaseError> {
        let identity = sqlx::query_file!("sql/read_identity.sql")
            .fetch_optional(&mut *connection)
            .await?
            .ok_or(DatabaseError::NoEpoch)?;
        let rows = sqlx::query_file!("sql/read_partitions.sql").fetch_all(&mut *connection).await?;
        let detached = sqlx::query_file_scalar!("sql/find_detached_partitions.sql")
            .fetch_all(&mut *connection)
            .await?;
        let drawn = sqlx::query!(
            r#"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS "last!",
                clock_timestamp() AS "now!"
            FROM messaging.outbox_sequence"#
        )
        .fetch_one(connection)
        .await?;
        Ok(Self {
            identity: Identity {
                system: identity.system.cast_unsigned(),
                timeline: identity.timeline.cast_unsigned(),
                database: u32::try_from(identity.database).unwrap_or_default(),
                epoch: identity.epoch,
            },
            now: drawn.now,
            last: drawn.last,
            default: rows.iter().find(|row| row.is_default).map(|row| row.table.clone()),
            partitions: rows
                .into_iter()
                .filter(|row| !row.is_default)
                .map(|row| Partition {
                    table: row.table,
                    first: row.first.unwrap_or(i64::MIN),
                    next: row.next.unwrap_or(i64::MAX),
                    detaching: row.detaching,
                    mark: row.comment.as_deref().and_then(Mark::parse),
                })
                .collect(),
            detached,
        })
    }

    /// The partitions whose rows are seen.
    pub(super) fn attached(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(|partition| !partition.detaching)
    }

    /// Takes in one that was created since.
    pub(super) fn add(&mut self, partition: Partition) {
        self.partitions.push(partition);
        self.partitions.sort_by_key(|partition| partition.first);
    }

    /// The first number to come, from the next one on, that has no partition; `i64::MAX` if all have one.
    pub(super) fn first_missing(&self) -> i64 {
        self.attached().fold(self.last.saturating_add(1), |end, partition| {
            if partition.first <= end { end.max(partition.next) } else { end }
        })
    }

    /// How many partitions lie wholly above the numbers drawn, without a hole before them.
    pub(super) fn ahead(&self) -> usize {
        let end = self.first_missing();
        self.attached()
            .filter(|partition| self.last < partition.first && partition.next <= end)
            .count()
    }

    /// The largest number of the first partition that does not end with `number` or below.
    pub(super) fn next_end(&self, number: i64) -> i64 {
        let mut ends = self.attached().map(|partition| partition.next.saturating_sub(1));
        ends.find(|&end| end > number).unwrap_or(i64::MAX)
    }

    /// The bounds of a partition of at most `rows` numbers that is to hold `missing`, between those that are there.
    ///
    /// It begins where the one below ends, unless numbers were skipped that are many partitions' worth.
    pub(super) fn bounds(&self, missing: i64, rows: i64) -> (i64, i64) {
        let below = self.attached().map(|partition| partition.next).filter(|&next| next <= missing);
        let first = below.max().unwrap_or(0).max(missing / rows * rows);
        let above =
            self.attached().map(|partition| partition.first).filter(|&first| first > missing);
        (first, above.fold(first.saturating_add(rows), i64::min))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    pub(in crate::source::partitions) fn present(last: i64, bounds: &[(i64, i64)]) -> Present {
        let partitions = bounds.iter().map(|&(first, next)| Partition {
            table: format!("messaging.outbox_from_{first}"),
            first,
            next,
            detaching: false,
            mark: None,
        });
        Present {
            identity: Identity { system: 1, timeline: 1, database: 1, epoch: Uuid::nil() },
            now: datetime!(2026-11-03 12:00 UTC),
            last,
            partitions: partitions.collect(),
            default: None,
            detached: Vec::new(),
        }
    }

    #[test]
    fn a_hole_in_the_numbers_to_come_is_found_and_what_lies_above_it_is_not_counted() {
        let whole = present(5, &[(0, 10), (10, 20), (20, 30)]);
        assert_eq!((whole.first_missing(), whole.ahead()), (30, 2));
        let holed = present(5, &[(0, 10), (10, 20), (25, 30)]);
        assert_eq!((holed.first_missing(), holed.ahead()), (20, 1));
        assert_eq!(holed.bounds(20, 10), (20, 25));
        let endless = present(5, &[(0, 10), (10, i64::MAX)]);
        assert_eq!(endless.first_missing(), i64::MAX);
    }

    #[test]
    fn a_sequence_that_has_outrun_its_partitions_gets_one_for_its_next_number() {
        let full = present(19, &[(0, 10), (10, 20)]);
        assert_eq!((full.first_missing(), full.bounds(20, 10)), (20, (20, 30)));
        let failed = present(23, &[(0, 10), (10, 20)]);
        assert_eq!((failed.first_missing(), failed.bounds(24, 10)), (24, (20, 30)));
        let skipped = present(1_000_003, &[(0, 10), (10, 20)]);
        assert_eq!(skipped.bounds(skipped.first_missing(), 10), (1_000_000, 1_000_010));
        let none = present(0, &[]);
        assert_eq!(none.bounds(none.first_missing(), 10), (0, 10));
    }

    #[test]
    fn a_partition_that_is_being_detached_is_not_there() {
        let mut present = present(5, &[(0, 10), (10, 20)]);
        present.partitions[1].detaching = true;
        assert_eq!((present.first_missing(), present.ahead()), (10, 0));
    }
}
