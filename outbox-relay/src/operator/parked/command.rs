//! Commands to the leader: written into `messaging.outbox_command`, announced as a row is, and waited for.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::fault::Fault;
use crate::operator::error::CommandError;
use crate::operator::leader;
use crate::operator::output::as_text;

/// How often it is looked whether the leader has answered.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be done with the first event of a parked key.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// It is sent again.
    Retry,
    /// It is sent with this payload.
    Replace(Vec<u8>),
    /// It is given up.
    Skip,
}

/// A command for a key.
pub(super) struct Wanted {
    pub(super) command: Command,
    pub(super) topic: String,
    pub(super) key: String,
    /// The event that the key waits for; for another one the leader refuses.
    pub(super) event_id: Uuid,
}

/// What came of one command.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(serialize_with = "as_text")]
    command_id: Uuid,
    command: &'static str,
    topic: String,
    key: String,
    #[serde(serialize_with = "as_text")]
    event_id: Uuid,
    /// What the leader says, if it has.
    answer: Option<String>,
    succeeded: Option<bool>,
}

/// What came of all of them.
#[derive(Debug, Serialize)]
pub(super) struct Answers {
    commands: Vec<Answer>,
}

/// Has the leader carry the commands out, and waits up to `wait` seconds for its answers.
pub(super) async fn carry_out(
    connection: &mut PgConnection,
    wanted: Vec<Wanted>,
    wait: u32,
) -> Result<Answers, CommandError> {
    if wanted.is_empty() {
        return Ok(Answers { commands: Vec::new() });
    }
    // What nobody is there to do would be done some day, when nobody expects it any more.
    let leader = leader::read(connection).await?;
    if let Some(fault) = leader.trouble() {
        return Err(
            Fault::new(format!("{}, and nothing was changed", fault.cause), fault.cure).into()
        );
    }
    let mut answers = write(connection, wanted).await?;
    let deadline = Instant::now() + Duration::from_secs(wait.into());
    while !answers.are_complete() && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        answers.read(connection).await?;
    }
    Ok(answers)
}

/// Writes all commands, or none.
async fn write(connection: &mut PgConnection, wanted: Vec<Wanted>) -> Result<Answers, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut commands = Vec::with_capacity(wanted.len());
    for Wanted { command, topic, key, event_id } in wanted {
        let (command, payload) = match command {
            Command::Retry => ("retry", None),
            Command::Replace(payload) => ("replace", Some(payload)),
            Command::Skip => ("skip", None),
        };
        let command_id = sqlx::query_scalar!(
            "INSERT INTO messaging.outbox_command (command, aggregatetype, aggregateid, event_id, payload)
            VALUES ($1, $2, $3, $4, $5) RETURNING id",
            command,
            topic,
            key,
            event_id,
            payload
        )
        .fetch_one(&mut *transaction)
        .await?;
        let (answer, succeeded) = (None, None);
        commands.push(Answer { command_id, command, topic, key, event_id, answer, succeeded });
    }
    sqlx::query!("SELECT pg_notify('messaging_outbox', '')").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Answers { commands })
}

impl Answers {
    async fn read(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let ids: Vec<Uuid> = self.commands.iter().map(|answer| answer.command_id).collect();
        let answered = sqlx::query!(
            "SELECT id, answer, succeeded FROM messaging.outbox_command
            WHERE id = ANY ($1) AND answered_at IS NOT NULL",
            &ids
        )
        .fetch_all(connection)
        .await?;
        for row in answered {
            if let Some(answer) = self.commands.iter_mut().find(|one| one.command_id == row.id) {
                (answer.answer, answer.succeeded) = (row.answer, row.succeeded);
            }
        }
        Ok(())
    }

    fn are_complete(&self) -> bool {
        self.commands.iter().all(|command| command.succeeded.is_some())
    }

    /// Whether everything was done as wanted.
    pub(super) fn all_succeeded(&self) -> bool {
        self.commands.iter().all(|command| command.succeeded == Some(true))
    }
}

impl Display for Answers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.commands.is_empty() {
            return write!(out, "no key is parked");
        }
        self.commands.iter().try_for_each(|command| {
            let Answer { command, topic, key, event_id, answer, .. } = command;
            let answer = answer.as_deref().unwrap_or(
                "the leader has not answered in time; it will, as `outbox-relay parked show` tells",
            );
            writeln!(out, "{command} of event {event_id} (key {key} of topic {topic}): {answer}")
        })
    }
}
