//! What the figures were measured on.

use std::{fs, process::Command, thread};

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Row};

use super::{ground::Ground, rows::connect};

/// What decides about PostgreSQL's speed and durability.
const SETTINGS: [&str; 8] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
];

/// How many processors there are.
pub(super) fn cores() -> f64 {
    thread::available_parallelism().map_or(1, usize::from) as f64
}

/// Describes the machine and what runs on it.
pub(super) async fn describe(ground: &Ground) -> anyhow::Result<Value> {
    let mut connection = connect(&ground.stack().postgres_url("postgres")).await?;
    let mut postgres = Map::new();
    for setting in SETTINGS {
        let show = sqlx::query(AssertSqlSafe(format!("SHOW {setting}")));
        let value: String = show.fetch_one(&mut connection).await?.try_get(0)?;
        postgres.insert(setting.to_owned(), value.into());
    }
    Ok(json!({
        "processors": cores(),
        "processor": field("/proc/cpuinfo", "model name"),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "load_at_start": read("/proc/loadavg"),
        "build": if cfg!(debug_assertions) { "debug: not for comparison" } else { "release" },
        "postgresql": postgres,
        "kafka": {
            "version": kafka_version(),
            "acks": "all",
            "enable.idempotence": true,
            "compression": "lz4",
            "partitions": super::topic::PARTITIONS,
        },
        "librdkafka": rdkafka::util::get_rdkafka_version().1,
        "java": java_version(),
    }))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The value of the first line `name : value`.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ':').to_owned()
}

/// As the stack fetches it.
fn kafka_version() -> &'static str {
    let pom = include_str!("../../../stack/pom.xml");
    let from = pom.split_once("<kafka.version>").map_or("", |(_, from)| from);
    from.split_once('<').map_or("", |(version, _)| version)
}

fn java_version() -> String {
    let output = Command::new("java").arg("-version").output();
    let text = output.map(|output| output.stderr).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
