//! `parked show`.

use std::fmt::{self, Display};

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::error::CommandError;
use crate::operator::event::{self, Row};
use crate::operator::output::{as_text, time_as_text, timestamp};
use crate::operator::parked::list::Entry;
use crate::operator::parked::{KeyArgs, ShowOptions, followers, pick, read};
use crate::operator::session::{Access, connect};

/// So many of the commands for a key are told.
const COMMANDS: i64 = 10;

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    /// The first event's row.
    row: Option<Row>,
    /// What was done about the key, newest first.
    commands: Vec<Written>,
}

/// A command that was written for the key.
#[derive(Debug, Serialize)]
struct Written {
    command: String,
    #[serde(serialize_with = "as_text")]
    event_id: Uuid,
    #[serde(serialize_with = "time_as_text")]
    requested_at: OffsetDateTime,
    /// What came of it, if it is done.
    answer: Option<String>,
    succeeded: Option<bool>,
}

pub(super) async fn show(options: &ShowOptions) -> Result<Verdict, CommandError> {
    let source = options.place.database.one()?;
    let mut connection = connect(&source, "parked", Access::Read).await?;
    let parked = read(&mut connection, &options.place, &source).await?;
    let first = pick(&parked, &options.key)?;
    let (topic, key) = (options.key.topic.as_str(), options.key.key.as_str());
    let followers = followers(&mut connection, &[(topic, key, first)]).await;
    let followers = followers.and_then(|counted| counted.first().copied());
    let row = event::at(&mut connection, first.first).await?;
    let commands = commands(&mut connection, &options.key).await?;
    let entry = Entry::new(&source.name, topic, key, first, followers);
    options.place.output.print(&Shown { entry, row, commands })?;
    Ok(Verdict::Fine)
}

async fn commands(connection: &mut PgConnection, key: &KeyArgs) -> Result<Vec<Written>, Fault> {
    sqlx::query_as!(
        Written,
        "SELECT command, event_id, requested_at, answer, succeeded FROM messaging.outbox_command
        WHERE aggregatetype = $1 AND aggregateid = $2
        ORDER BY requested_at DESC LIMIT $3",
        key.topic,
        key.key,
        COMMANDS
    )
    .fetch_all(connection)
    .await
    .map_err(|error| Fault::of_database(&error))
}

impl Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(out)?;
        match &self.row {
            Some(row) => row.fmt(out)?,
            None => writeln!(out, "  its row is not in the table any more")?,
        }
        self.commands.iter().try_for_each(|written| {
            let answer = written.answer.as_deref().unwrap_or("waits for the leader");
            writeln!(
                out,
                "  {:<11} at {}: {answer}",
                written.command,
                timestamp(written.requested_at)
            )
        })
    }
}
