//! What the WAL feed needs. Without it the table is polled, so nothing of this is a fault.

use sqlx::PgConnection;

use crate::fault::Fault;
use crate::finding::Finding;

const CHECK: &str = "wal feed";

/// What the server has for it.
#[derive(Clone, Debug)]
struct Facts {
    role: String,
    wal_level: String,
    /// Whether the role may replicate.
    replicates: bool,
    /// Whether the role may make the publication, or it is there.
    publishes: bool,
    /// Replication slots that are free; one that is the relay's own counts as such.
    free_slots: i64,
    /// Connections for replication that are free.
    free_senders: i64,
    /// A partition whose rows are in no WAL.
    unlogged: Option<String>,
}

/// Checks it.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let facts = sqlx::query_file_as!(Facts, "sql/read_wal_facts.sql").fetch_one(connection).await?;
    Ok(judge(&facts))
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let role = &facts.role;
    let mut faults = Vec::new();
    let mut fault = |cause: String, cure: String| faults.push(Fault::new(cause, cure));
    if facts.wal_level != "logical" {
        let cause =
            format!("the server has wal_level={}, and the table will be polled", facts.wal_level);
        fault(cause, "ALTER SYSTEM SET wal_level = 'logical', and restart it".to_owned());
    }
    if !facts.replicates {
        let cause = format!("{role} may not replicate, and the table will be polled");
        fault(cause, format!("ALTER ROLE {role} REPLICATION"));
    }
    if !facts.publishes {
        let cause = format!(
            "{role} may not make the publication messaging_outbox, and the table will be polled"
        );
        fault(
            cause,
            format!("GRANT CREATE on the database to {role}, which must own messaging.outbox"),
        );
    }
    if facts.free_slots < 1 {
        let cure =
            "drop a slot that is not used (pg_replication_slots), or raise max_replication_slots";
        fault(
            "no replication slot is free, and the table will be polled".to_owned(),
            cure.to_owned(),
        );
    }
    if facts.free_senders < 1 {
        let cure = "end a replica, or raise max_wal_senders";
        fault(
            "no connection for replication is free, and the table will be polled".to_owned(),
            cure.to_owned(),
        );
    }
    if let Some(partition) = &facts.unlogged {
        let cause = format!("partition {partition} is unlogged, and the table will be polled");
        fault(cause, format!("ALTER TABLE messaging.{partition} SET LOGGED"));
    }
    if faults.is_empty() {
        return vec![Finding::ok(CHECK, "the server offers it")];
    }
    faults.into_iter().map(|fault| Finding::warning(CHECK, fault)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_the_wal_feed_lacks_is_told() {
        let good = Facts {
            role: "relay".to_owned(),
            wal_level: "logical".to_owned(),
            replicates: true,
            publishes: true,
            free_slots: 1,
            free_senders: 1,
            unlogged: None,
        };
        let said = |facts: Facts| judge(&facts).remove(0).said;
        assert_eq!(said(good.clone()), "the server offers it");
        let lacking = [
            (Facts { wal_level: "replica".to_owned(), ..good.clone() }, "wal_level=replica"),
            (Facts { replicates: false, ..good.clone() }, "may not replicate"),
            (Facts { publishes: false, ..good.clone() }, "the publication"),
            (Facts { free_slots: 0, ..good.clone() }, "slot"),
            (Facts { free_senders: 0, ..good.clone() }, "connection"),
            (Facts { unlogged: Some("p".to_owned()), ..good }, "partition p"),
        ];
        for (facts, part) in lacking {
            assert!(said(facts.clone()).contains(part), "{facts:?}");
        }
    }
}
