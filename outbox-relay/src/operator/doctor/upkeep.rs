//! What does not stop the relay today, and may tomorrow: partitions, what it may see, who leads, and transactions left open.

use sqlx::PgConnection;

use crate::fault::Fault;
use crate::finding::Finding;
use crate::operator::{leader, transactions};

/// With fewer partitions ahead, somebody should look.
const FEW: i64 = 2;

/// Checks all of it; transactions open for more than `open_for` seconds are told.
pub(crate) async fn check(
    connection: &mut PgConnection,
    open_for: f64,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = partitions(connection).await?;
    findings.extend(rights(connection).await?);
    findings.push(leads(connection).await?);
    findings.extend(open_transactions(connection, open_for).await?);
    Ok(findings)
}

async fn partitions(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let found = sqlx::query_file!("sql/check_partitions.sql").fetch_one(connection).await?;
    let mut findings = Vec::new();
    if let Some(name) = found.default_partition {
        findings.push(Finding::fault(
            "partitions",
            Fault::new(
                format!("messaging.{name} is a default partition, which would be locked and scanned whenever one is added"),
                format!("ALTER TABLE messaging.outbox DETACH PARTITION messaging.{name}, then INSERT its rows anew"),
            ),
        ));
    }
    let next = found.next_number;
    let create =
        "start a relay whose role owns the table, which creates them, or attach one by hand";
    findings.push(if !found.covered {
        let cause = format!("number {next} has no partition, so that the next INSERT fails");
        Finding::fault("partitions", Fault::new(cause, create))
    } else if found.ahead < FEW && !found.unbounded {
        let cause = format!("only {} partitions are ahead of number {next}", found.ahead);
        Finding::warning("partitions", Fault::new(cause, create))
    } else {
        Finding::ok("partitions", format!("{} are ahead of number {next}", found.ahead))
    });
    Ok(findings)
}

/// What the role needs beyond publishing.
async fn rights(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT
            CURRENT_USER::text AS "role!",
            pg_has_role(pg_class.relowner, 'USAGE') AS "owns!",
            pg_get_userbyid(pg_class.relowner)::text AS "owner!",
            has_schema_privilege(pg_class.relowner, pg_class.relnamespace, 'CREATE') AS "creates!",
            pg_has_role('pg_read_all_stats', 'USAGE') AS "sees!",
            has_table_privilege('messaging.outbox_command', 'INSERT') AS "commands!"
        FROM pg_class
        WHERE pg_class.oid = 'messaging.outbox'::regclass"#
    )
    .fetch_one(connection)
    .await?;
    let (role, owner) = (found.role, found.owner);
    let mut findings = Vec::new();
    if !found.owns {
        findings.push(Finding::fault(
            "ownership",
            Fault::new(
                format!("{role} does not own messaging.outbox and can add no partition"),
                format!("GRANT {owner} TO {role}, or ALTER TABLE messaging.outbox OWNER TO {role}"),
            ),
        ));
    }
    if !found.creates {
        findings.push(Finding::fault(
            "ownership",
            Fault::new(
                format!("{owner} may create no table in schema messaging, so that no partition can be added"),
                format!("GRANT USAGE, CREATE ON SCHEMA messaging TO {owner}"),
            ),
        ));
    }
    if !found.sees {
        findings.push(Finding::warning(
            "statistics",
            Fault::new(
                format!("{role} does not see which transactions idle, so that one left open keeps its gaps open longer"),
                format!("GRANT pg_read_all_stats TO {role}"),
            ),
        ));
    }
    if !found.commands {
        findings.push(Finding::warning(
            "commands",
            Fault::new(
                format!("{role} may not write commands, as `outbox-relay parked retry` does"),
                format!("GRANT INSERT ON messaging.outbox_command TO {role}"),
            ),
        ));
    }
    if findings.is_empty() {
        let said = format!("{role} may add partitions, see transactions and write commands");
        findings.push(Finding::ok("ownership", said));
    }
    Ok(findings)
}

async fn leads(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let leader = leader::read(connection).await?;
    if let (Some(pid), Some(role), false) = (leader.pid, &leader.role, leader.may_end) {
        let cause = format!(
            "the leader is of role {role}, whose backend {pid} this one could not end if it hung"
        );
        let cure = format!("run every relay of a source as one role, or GRANT {role} to the other");
        return Ok(Finding::fault("leader", Fault::new(cause, cure)));
    }
    Ok(match leader.trouble() {
        Some(fault) if leader.pid.is_some() => Finding::warning("leader", fault),
        // Whoever asks the doctor may be about to start the first one.
        Some(_) | None => Finding::ok("leader", leader.to_string()),
    })
}

async fn open_transactions(
    connection: &mut PgConnection,
    open_for: f64,
) -> Result<Vec<Finding>, sqlx::Error> {
    let open = transactions::read(connection).await?;
    let long = open.iter().filter(|one| one.open_for.is_some_and(|seconds| seconds >= open_for));
    let mut findings: Vec<Finding> = long
        .map(|one| {
            let cause =
                format!("{one} has written into the outbox and not ended, which keeps gaps open");
            Finding::warning("transactions", Fault::new(cause, one.cure()))
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok("transactions", "none has been open for long"));
    }
    Ok(findings)
}
