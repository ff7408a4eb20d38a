//! `dead-letters`: what consumers have put aside because they can never handle it, and how it comes to them again.
//!
//! A consumer parks a record on the topic `<group>.<topic>.dlq`: key, value and headers as they were, and headers of its own that begin
//! with `dlq-`. A redrive sends it to the topic it came from. Every group that reads that topic gets it once more: those that
//! have handled it know it by its event id, and the one that has rejected it has kept nothing of it, and tries again.
//!
//! What was redriven is remembered on the progress topic, under a key that no source can have, in the transaction that sends it.

mod letter;
mod list;
mod marks;
mod redrive;
mod show;

use clap::{Args, Subcommand};
use runtime::fail_points::{FailPoint, road};

use crate::operator::Verdict;
use crate::operator::arguments::ProgressArgs;
use crate::operator::error::CommandError;
use crate::operator::output::OutputArgs;

/// The header that tells of which dead letter a record is the redrive: `TOPIC/PARTITION/OFFSET`.
pub(crate) const REDRIVEN_HEADER: &str = "dlq-redriven-from";

/// How the names of dead-letter topics end.
const SUFFIX: &str = ".dlq";

/// Options of `dead-letters`.
#[derive(Clone, Debug, Args)]
pub struct DeadLettersOptions {
    /// What to do.
    #[command(subcommand)]
    command: DeadLettersCommand,
}

/// What can be done with dead letters.
#[derive(Clone, Debug, Subcommand)]
enum DeadLettersCommand {
    /// Lists the dead letters, and which of them were redriven.
    List(ListOptions),
    /// Shows one dead letter: headers and payload.
    Show(ShowOptions),
    /// Sends dead letters to the topics they came from.
    Redrive(RedriveOptions),
}

/// Where dead letters are, and how they are told of.
#[derive(Clone, Debug, Args)]
struct PlaceArgs {
    /// Where what was redriven is remembered.
    #[command(flatten)]
    progress: ProgressArgs,
    /// How it is told.
    #[command(flatten)]
    output: OutputArgs,
}

/// Options of `dead-letters list`.
#[derive(Clone, Debug, Args)]
struct ListOptions {
    /// Only this topic; else all whose names end in .dlq.
    #[arg(long)]
    topic: Option<String>,
    /// How many of each topic are listed, the newest.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Which dead letter is meant.
#[derive(Clone, Debug, Args)]
struct LetterArgs {
    /// Its topic.
    topic: String,
    /// Its partition.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
}

/// Options of `dead-letters show`.
#[derive(Clone, Debug, Args)]
struct ShowOptions {
    #[command(flatten)]
    letter: LetterArgs,
    /// Its offset.
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    /// Write the payload's bytes to standard output and nothing else.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Options of `dead-letters redrive`.
#[derive(Clone, Debug, Args)]
struct RedriveOptions {
    #[command(flatten)]
    letter: LetterArgs,
    /// The offset of the one that is meant.
    #[arg(value_parser = clap::value_parser!(i64).range(0..), required_unless_present = "all")]
    offset: Option<i64>,
    /// All of the topic that were not redriven yet.
    #[arg(long, conflicts_with_all = ["offset", "partition", "again"])]
    all: bool,
    /// Also if it was redriven before.
    #[arg(long)]
    again: bool,
    /// Tell what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// Where this process fails on purpose: NAME=ACTION[@HIT], for tests.
    #[arg(long, value_delimiter = ',', hide = true, value_parser = FailPoint::of(&road::REDRIVE))]
    fail_points: Vec<FailPoint>,
}

/// Does it.
pub(crate) async fn dead_letters(options: &DeadLettersOptions) -> Result<Verdict, CommandError> {
    match &options.command {
        DeadLettersCommand::List(options) => list::list(options).await,
        DeadLettersCommand::Show(options) => show::show(options).await,
        DeadLettersCommand::Redrive(options) => redrive::redrive(options).await,
    }
}
