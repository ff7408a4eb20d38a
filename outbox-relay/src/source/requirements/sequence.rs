//! The sequence that numbers the rows, and the single rows that `init` writes.

use sqlx::PgConnection;

use crate::fault::Fault;
use crate::finding::Finding;

/// Checks that no number appears that no lock announces, and that the table has an epoch and a place for its leader.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT
            (SELECT seqcache FROM pg_sequence WHERE seqrelid = to_regclass('messaging.outbox_sequence')) AS cache,
            (SELECT seqincrement FROM pg_sequence WHERE seqrelid = to_regclass('messaging.outbox_sequence')) AS increment,
            EXISTS (SELECT FROM messaging.outbox_epoch) AS "epoch!",
            EXISTS (SELECT FROM messaging.outbox_leader) AS "leader!""#
    )
    .fetch_one(connection)
    .await?;
    let mut findings = vec![match (found.cache, found.increment) {
        (Some(1), Some(1)) => Finding::ok("sequence", "numbers are drawn one by one"),
        (Some(cache), Some(increment)) => Finding::fault("sequence", cached(cache, increment)),
        (None, _) | (_, None) => Finding::fault(
            "sequence",
            Fault::new(
                "there is no sequence messaging.outbox_sequence",
                "run `outbox-relay init` on this database",
            ),
        ),
    }];
    for (table, present) in [("outbox_epoch", found.epoch), ("outbox_leader", found.leader)] {
        if !present {
            let cause = format!("messaging.{table} has no row");
            let cure = format!("INSERT INTO messaging.{table} DEFAULT VALUES");
            findings.push(Finding::fault("sequence", Fault::new(cause, cure)));
        }
    }
    Ok(findings)
}

fn cached(cache: i64, increment: i64) -> Fault {
    Fault::new(
        format!(
            "sequence messaging.outbox_sequence has CACHE {cache} and INCREMENT {increment}, so that numbers would appear \
             that no lock announces"
        ),
        "ALTER SEQUENCE messaging.outbox_sequence CACHE 1 INCREMENT 1",
    )
}
