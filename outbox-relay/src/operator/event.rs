//! An event as its row tells of it, and how it is found: by its number, or by its id.
//!
//! No index knows the ids. A UUIDv7 tells when it was made, and rows stand in about the order of their time, so that a search of a
//! few steps finds the numbers of that minute; what is not there is looked for in the whole table.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;
use sqlx::{Executor, PgConnection};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::operator::output::{as_text, time_as_text, timestamp};

/// How far the times of a row and of its id may lie apart for the quick search.
const APART: Duration = Duration::minutes(1);

/// Which event is meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// By its id.
    Id(Uuid),
    /// By its number in the outbox.
    Number(i64),
}

/// What the row of an event tells, but for its payload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) number: i64,
    #[serde(serialize_with = "as_text")]
    pub(crate) event_id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    #[serde(rename = "source")]
    pub(crate) event_source: String,
    pub(crate) subject: String,
    #[serde(serialize_with = "time_as_text")]
    pub(crate) created_at: OffsetDateTime,
    pub(crate) correlation_id: Option<String>,
    pub(crate) causation_id: Option<String>,
    pub(crate) payload_bytes: i32,
}

/// A row's number and time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) number: i64,
    pub(crate) created_at: OffsetDateTime,
}

impl FromStr for Event {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| *number > 0).map(Self::Number);
        let id = || text.parse().ok().map(Self::Id);
        number.or_else(id).ok_or("neither an event's id (a UUID) nor its number")
    }
}

impl Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(out, "event {id}"),
            Self::Number(number) => write!(out, "number {number}"),
        }
    }
}

impl Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "  event       {} of type {}", self.event_id, self.event_type)?;
        writeln!(out, "  number      {}, created at {}", self.number, timestamp(self.created_at))?;
        writeln!(out, "  for         topic {}, key {}", self.topic, self.key)?;
        writeln!(out, "  from        {}, about {}", self.event_source, self.subject)?;
        for (name, value) in
            [("correlation", &self.correlation_id), ("causation", &self.causation_id)]
        {
            if let Some(value) = value {
                writeln!(out, "  {name:<11} {value}")?;
            }
        }
        writeln!(out, "  payload     {} bytes", self.payload_bytes)
    }
}

/// When a UUIDv7 was made.
pub(crate) fn made_at(id: Uuid) -> Option<OffsetDateTime> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    Some(at + Duration::nanoseconds(i64::from(nanos)))
}

/// The event's row, if it is in the table.
pub(crate) async fn find(
    connection: &mut PgConnection,
    event: Event,
    last_value: i64,
) -> Result<Option<Row>, sqlx::Error> {
    match event {
        Event::Number(number) => at(connection, number).await,
        Event::Id(id) => {
            if let Some(made_at) = made_at(id) {
                let first = first_since(connection, made_at - APART, last_value).await?;
                let last = first_since(connection, made_at + APART, last_value).await?;
                let found = between(connection, id, first, last).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            connection.execute("SET statement_timeout = '30min'").await?;
            between(connection, id, i64::MIN, i64::MAX).await
        }
    }
}

/// The row of a number, if it is in the table.
pub(crate) async fn at(
    connection: &mut PgConnection,
    number: i64,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_file_as!(Row, "sql/read_event.sql", number).fetch_optional(connection).await
}

async fn between(
    connection: &mut PgConnection,
    id: Uuid,
    first: i64,
    last: i64,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_file_as!(Row, "sql/find_event.sql", id, first, last)
        .fetch_optional(connection)
        .await
}

/// The row with the smallest number from `number` on.
pub(crate) async fn next(
    connection: &mut PgConnection,
    number: i64,
) -> Result<Option<Mark>, sqlx::Error> {
    sqlx::query_as!(
        Mark,
        "SELECT sequence AS number, created_at FROM messaging.outbox
        WHERE sequence >= $1 ORDER BY sequence LIMIT 1",
        number
    )
    .fetch_optional(connection)
    .await
}

/// About the smallest number whose row was created at or after `at`.
async fn first_since(
    connection: &mut PgConnection,
    at: OffsetDateTime,
    last_value: i64,
) -> Result<i64, sqlx::Error> {
    let (mut low, mut high) = (1, last_value + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match next(connection, middle).await? {
            Some(mark) if mark.created_at < at => low = mark.number + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}
