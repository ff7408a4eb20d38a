//! `parked`: the keys that wait for an operator, and what can be done with each.
//!
//! What is to be done is written down as a command in the database, for the leader to carry out: only it may send.

mod change;
mod command;
mod list;
mod show;

use clap::{Args, Subcommand};
use sqlx::PgConnection;

use crate::core::parked::{Parked, ParkedKey};
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::arguments::{DatabaseArgs, ProgressArgs};
use crate::operator::error::CommandError;
use crate::operator::output::OutputArgs;
use crate::operator::standing;
use crate::sources::SourceAddress;

use change::{ReplaceOptions, RetryOptions, SkipOptions};

/// Options of `parked`.
#[derive(Clone, Debug, Args)]
pub struct ParkedOptions {
    /// What to do.
    #[command(subcommand)]
    command: ParkedCommand,
}

/// What can be done with parked keys.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ParkedCommand {
    /// Lists the parked keys, and how many events wait behind each.
    List(ListOptions),
    /// Shows one parked key: its first event, those behind it, and the commands for it.
    Show(ShowOptions),
    /// Sends the first event again, and what waits behind it.
    Retry(RetryOptions),
    /// Sends another payload in place of the first event's, and what waits behind it.
    Replace(ReplaceOptions),
    /// Gives the first event up for good, and sends what waits behind it.
    Skip(SkipOptions),
}

/// Options of `parked list`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `parked show`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShowOptions {
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where parked keys are, and how they are told of.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Which sources.
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where their progress is.
    #[command(flatten)]
    progress: ProgressArgs,
    /// How it is told.
    #[command(flatten)]
    output: OutputArgs,
}

/// Which parked key is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeyArgs {
    /// The key's topic.
    topic: String,
    /// The key.
    key: String,
}

/// Does it.
pub(crate) async fn parked(options: &ParkedOptions) -> Result<Verdict, CommandError> {
    match &options.command {
        ParkedCommand::List(options) => list::list(options).await,
        ParkedCommand::Show(options) => show::show(options).await,
        ParkedCommand::Retry(options) => change::retry(options).await,
        ParkedCommand::Replace(options) => change::replace(options).await,
        ParkedCommand::Skip(options) => change::skip(options).await,
    }
}

/// The parked keys of a source.
async fn read(
    connection: &mut PgConnection,
    place: &PlaceArgs,
    source: &SourceAddress,
) -> Result<Parked, Fault> {
    let standing = standing::read(connection, &place.progress, &source.name).await?;
    match standing.fault() {
        Some(fault) => Err(fault),
        None => Ok(standing.parked),
    }
}

/// One of them.
fn pick<'a>(parked: &'a Parked, key: &KeyArgs) -> Result<&'a ParkedKey, Fault> {
    parked.get(&key.topic, &key.key).ok_or_else(|| {
        Fault::new(
            format!("key {} of topic {} is not parked", key.key, key.topic),
            "see `outbox-relay parked list`",
        )
    })
}

/// How many rows wait behind each parked key, in their order; nothing if that takes too long.
async fn followers(
    connection: &mut PgConnection,
    parked: &[(&str, &str, &ParkedKey)],
) -> Option<Vec<i64>> {
    let topics: Vec<String> = parked.iter().map(|(topic, _, _)| (*topic).to_owned()).collect();
    let keys: Vec<String> = parked.iter().map(|(_, key, _)| (*key).to_owned()).collect();
    let firsts: Vec<i64> = parked.iter().map(|(_, _, parked)| parked.first).collect();
    let smallest = firsts.iter().min().copied().unwrap_or_default();
    let counted = sqlx::query_file!("sql/count_followers.sql", &topics, &keys, &firsts, smallest)
        .fetch_all(connection)
        .await;
    counted.ok().map(|rows| rows.into_iter().map(|row| row.followers).collect())
}
