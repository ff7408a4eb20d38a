//! `parked retry`, `replace` and `skip`: which commands are written for which keys.

use std::path::PathBuf;

use clap::Args;
use uuid::Uuid;

use crate::core::parked::ParkedKey;
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::error::CommandError;
use crate::operator::parked::command::{Answers, Command, Wanted, carry_out};
use crate::operator::parked::{KeyArgs, PlaceArgs, pick, read};
use crate::operator::session::{Access, connect};

/// How a change is asked for.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Only if this is the event that the key waits for.
    #[arg(long, value_name = "UUID")]
    event_id: Option<Uuid>,
    /// Seconds to wait for the leader's answer.
    #[arg(long, env = "RELAY_ANSWER_SECONDS", default_value_t = 30)]
    wait: u32,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `parked retry`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RetryOptions {
    /// The key's topic.
    #[arg(required_unless_present = "all", requires = "key")]
    topic: Option<String>,
    /// The key.
    key: Option<String>,
    /// Every parked key of the source.
    #[arg(long, conflicts_with_all = ["topic", "key", "event_id"])]
    all: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Options of `parked replace`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplaceOptions {
    #[command(flatten)]
    key: KeyArgs,
    /// The file whose bytes are sent in place of the event's payload.
    #[arg(long, value_name = "PATH")]
    payload_file: PathBuf,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Options of `parked skip`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SkipOptions {
    #[command(flatten)]
    key: KeyArgs,
    /// Give the event up, whichever it is.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn retry(options: &RetryOptions) -> Result<Verdict, CommandError> {
    let key = options.topic.clone().zip(options.key.clone());
    let key = key.map(|(topic, key)| KeyArgs { topic, key });
    change(&options.change, key.as_ref(), Command::Retry).await
}

pub(super) async fn replace(options: &ReplaceOptions) -> Result<Verdict, CommandError> {
    let payload = std::fs::read(&options.payload_file).map_err(|error| {
        let path = options.payload_file.display();
        CommandError::Usage(format!("--payload-file {path} cannot be read ({error})"))
    })?;
    change(&options.change, Some(&options.key), Command::Replace(payload)).await
}

pub(super) async fn skip(options: &SkipOptions) -> Result<Verdict, CommandError> {
    if !options.yes && options.change.event_id.is_none() {
        let problem = "skip gives an event up for good: name it with --event-id, or say --yes";
        return Err(CommandError::Usage(problem.to_owned()));
    }
    change(&options.change, Some(&options.key), Command::Skip).await
}

/// Has `command` carried out for one key, or for all.
async fn change(
    args: &ChangeArgs,
    key: Option<&KeyArgs>,
    command: Command,
) -> Result<Verdict, CommandError> {
    let source = args.place.database.one()?;
    let mut connection = connect(&source, "parked", Access::Write).await?;
    let parked = read(&mut connection, &args.place, &source).await?;
    let keys: Vec<(&str, &str, &ParkedKey)> = match key {
        Some(key) => vec![(&key.topic, &key.key, expected(pick(&parked, key)?, args.event_id)?)],
        None => parked.iter().collect(),
    };
    let wanted = keys.into_iter().map(|(topic, key, parked)| Wanted {
        command: command.clone(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        event_id: parked.event_id,
    });
    let answers: Answers = carry_out(&mut connection, wanted.collect(), args.wait).await?;
    args.place.output.print(&answers)?;
    Ok(if answers.all_succeeded() { Verdict::Fine } else { Verdict::Trouble })
}

/// The key, if it still waits for the event that the operator has looked at.
fn expected(parked: &ParkedKey, event_id: Option<Uuid>) -> Result<&ParkedKey, Fault> {
    match event_id {
        Some(event_id) if event_id != parked.event_id => Err(Fault::new(
            format!("the key waits for event {} and not for {event_id}", parked.event_id),
            "look again with `outbox-relay parked show`",
        )),
        Some(_) | None => Ok(parked),
    }
}
