//! The tables that `init` creates, with the columns that the relay reads and writes.

use sqlx::PgConnection;

use crate::fault::Fault;
use crate::finding::Finding;

const TEXT: &str = "text";
const TIME: &str = "timestamp with time zone";
const UUID: &str = "uuid";

/// Each table of schema `messaging`, and its columns with their types.
const TABLES: [(&str, &[(&str, &str)]); 4] = [
    (
        "outbox",
        &[
            ("sequence", "bigint"),
            ("id", UUID),
            ("aggregatetype", TEXT),
            ("aggregateid", TEXT),
            ("type", TEXT),
            ("source", TEXT),
            ("subject", TEXT),
            ("created_at", TIME),
            ("correlationid", TEXT),
            ("causationid", TEXT),
            ("traceparent", TEXT),
            ("tracestate", TEXT),
            ("contenttype", TEXT),
            ("payload", "bytea"),
        ],
    ),
    ("outbox_epoch", &[("epoch", UUID), ("published_at", TIME)]),
    ("outbox_leader", &[("instance", TEXT), ("beat_at", TIME)]),
    (
        "outbox_command",
        &[
            ("id", UUID),
            ("command", TEXT),
            ("aggregatetype", TEXT),
            ("aggregateid", TEXT),
            ("event_id", UUID),
            ("payload", "bytea"),
            ("requested_at", TIME),
            ("answered_at", TIME),
            ("answer", TEXT),
            ("succeeded", "boolean"),
        ],
    ),
];

/// A column as it is.
struct Column {
    table: String,
    kind: String,
    name: String,
    data_type: String,
    default: Option<String>,
}

/// Checks that all tables are there, each with its columns.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let names: Vec<String> = TABLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let columns =
        sqlx::query_file_as!(Column, "sql/read_columns.sql", &names).fetch_all(connection).await?;
    let mut findings: Vec<Finding> = TABLES
        .iter()
        .filter_map(|(table, wanted)| wrong(table, wanted, &columns))
        .map(|fault| Finding::fault("table", fault))
        .collect();
    if findings.is_empty() {
        findings.push(numbering(&columns));
    }
    Ok(findings)
}

/// What is wrong with one table.
fn wrong(table: &str, wanted: &[(&str, &str)], columns: &[Column]) -> Option<Fault> {
    let there: Vec<&Column> = columns.iter().filter(|column| column.table == table).collect();
    if there.is_empty() {
        return Some(Fault::new(
            format!("there is no table messaging.{table}"),
            "run `outbox-relay init` on this database",
        ));
    }
    if table == "outbox" && there.iter().any(|column| column.kind != "p") {
        return Some(Fault::new(
            "messaging.outbox is not partitioned",
            "rename it away, run `outbox-relay init`, and have writers use the new one",
        ));
    }
    wanted.iter().find_map(|(name, data_type)| {
        let Some(column) = there.iter().find(|column| column.name == *name) else {
            return Some(Fault::new(
                format!("messaging.{table} has no column {name}"),
                format!("ALTER TABLE messaging.{table} ADD COLUMN {name} {data_type}, as `outbox-relay init --print` has it"),
            ));
        };
        let same = column.data_type == *data_type
            || (*data_type == TEXT && column.data_type == "character varying");
        (!same).then(|| {
            Fault::new(
                format!("column {name} of messaging.{table} is {} and not {data_type}", column.data_type),
                format!("ALTER TABLE messaging.{table} ALTER COLUMN {name} TYPE {data_type}"),
            )
        })
    })
}

/// Whether numbers come from the function that takes part in the wake-up handshake.
fn numbering(columns: &[Column]) -> Finding {
    let sequence =
        columns.iter().find(|column| column.table == "outbox" && column.name == "sequence");
    let default = sequence.and_then(|column| column.default.as_deref()).unwrap_or("nothing");
    if default.contains("next_outbox_sequence()") {
        return Finding::ok(
            "table",
            "messaging.outbox and the relay's own tables are as they should be",
        );
    }
    Finding::warning(
        "table",
        Fault::new(
            format!(
                "messaging.outbox.sequence defaults to {default}, so that writers do not wake the relay"
            ),
            "ALTER TABLE messaging.outbox ALTER COLUMN sequence SET DEFAULT messaging.next_outbox_sequence()",
        ),
    )
}
