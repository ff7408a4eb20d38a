//! Creates partitions before the numbers that need them are drawn.
//!
//! `CREATE TABLE … PARTITION OF` would lock the parent exclusively and queue all writers behind the longest open one. Creating
//! the table by itself and attaching it takes a lock on the parent that writers do not mind.

use crate::source::partitions::PartitionsError;
use crate::source::partitions::ddl::Ddl;
use crate::source::partitions::present::{Partition, Present};

/// Creates what is missing of `ahead` partitions, and adds it to `present`.
pub(super) async fn create(
    ddl: &mut Ddl,
    present: &mut Present,
    ahead: usize,
    rows: i64,
) -> Result<(), PartitionsError> {
    if let Some(default) = &present.default {
        return Err(PartitionsError::Default(default.clone()));
    }
    while present.ahead() < ahead && present.first_missing() < i64::MAX {
        let (first, next) = present.bounds(present.first_missing(), rows);
        let table = format!("messaging.outbox_from_{first}");
        tracing::info!(partition = table, first, next, "creating a partition ahead");
        create_one(ddl, &table, first, next)
            .await
            .map_err(|source| PartitionsError::Create { table: table.clone(), source })?;
        present.add(Partition { table, first, next, detaching: false, mark: None });
    }
    Ok(())
}

/// Creates a table, then attaches it, all or nothing. The CHECK spares ATTACH a scan and has no further use.
async fn create_one(ddl: &mut Ddl, table: &str, first: i64, next: i64) -> sqlx::Result<()> {
    ddl.execute_together([
        format!("CREATE TABLE {table} (LIKE messaging.outbox INCLUDING ALL)"),
        format!(
            "ALTER TABLE {table} ADD CONSTRAINT bounds CHECK (sequence >= {first} AND sequence < {next})"
        ),
        format!(
            "ALTER TABLE messaging.outbox ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({next})"
        ),
        format!("ALTER TABLE {table} DROP CONSTRAINT bounds"),
    ])
    .await
}
