//! Who leads a source, as its database shows it.

use std::fmt::{self, Display};

use serde::Serialize;
use sqlx::PgConnection;

use crate::fault::Fault;
use crate::operator::output::age;
use crate::source::database::LEADER_LOCK;

/// Without a beat for so long, a leader hangs: it beats once a second.
const SILENT_SECONDS: f64 = 8.0;

/// Who holds a source's lock.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leader {
    /// The process id of the backend that holds the lock, if any does.
    pub(crate) pid: Option<i32>,
    /// The host and process id of the last relay that led.
    pub(crate) instance: String,
    /// How long ago a leader last beat, in seconds.
    pub(crate) beat_age: Option<f64>,
    /// The leader's role, if it may be seen.
    #[serde(skip)]
    pub(crate) role: Option<String>,
    /// Whether this role may end its connection.
    #[serde(skip)]
    pub(crate) may_end: bool,
}

/// Reads it.
pub(crate) async fn read(connection: &mut PgConnection) -> Result<Leader, sqlx::Error> {
    sqlx::query_file_as!(Leader, "sql/read_leadership.sql", i64::from(LEADER_LOCK))
        .fetch_one(connection)
        .await
}

impl Leader {
    /// Why nobody publishes, if nobody does.
    pub(crate) fn trouble(&self) -> Option<Fault> {
        let Some(pid) = self.pid else {
            return Some(Fault::new("no relay leads", "start one with `outbox-relay run`"));
        };
        let silent = self.beat_age.filter(|age| *age > SILENT_SECONDS)?;
        Some(Fault::new(
            format!("the leader holds the lock and has not beaten for {}", age(silent)),
            format!(
                "start a standby, which ends it, or end it by SELECT pg_terminate_backend({pid})"
            ),
        ))
    }
}

impl Display for Leader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.instance.as_str()) {
            (None, "") => write!(out, "nobody")?,
            (None, last) => write!(out, "nobody; the last one was {last}")?,
            (Some(pid), "") => write!(out, "backend {pid}")?,
            (Some(pid), instance) => write!(out, "{instance} (backend {pid})")?,
        }
        match self.beat_age {
            Some(seconds) => write!(out, ", last beat {} ago", age(seconds)),
            None => write!(out, ", no beat yet"),
        }
    }
}
