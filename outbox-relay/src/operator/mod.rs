//! The operator's commands, one a file, and what they share: which sources are meant ([`arguments`]), how they are reached
//! ([`session`]), how an answer is printed ([`output`]), and what went wrong ([`error`]).
//!
//! They look from outside, at the database and at Kafka: none needs to reach the relay's process.

mod arguments;
mod audit;
mod completions;
mod dead_letters;
mod doctor;
mod error;
mod event;
mod explain;
mod leader;
mod meter;
mod output;
mod parked;
mod replay;
mod rows;
mod sender;
mod session;
mod standing;
mod status;
mod topics;
mod transactions;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Subcommand;

pub use arguments::{DatabaseArgs, ProgressArgs};
pub use audit::AuditOptions;
pub use completions::CompletionsOptions;
pub use dead_letters::DeadLettersOptions;
pub use doctor::DoctorOptions;
pub use explain::ExplainOptions;
pub use output::{Output, OutputArgs};
pub use parked::ParkedOptions;
pub use replay::ReplayOptions;
pub use status::StatusOptions;

use error::CommandError;

/// What an operator asks.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Tells how each source does: its leader, what waits, gaps, parked keys.
    Status(StatusOptions),
    /// Checks everything that `run` needs, and names each fault's cure.
    Doctor(DoctorOptions),
    /// Tells where an event is: in the table, parked, or where on Kafka.
    Explain(ExplainOptions),
    /// Lists the keys that wait for an operator, and retries, replaces or skips what was refused.
    Parked(ParkedOptions),
    /// Publishes rows again on purpose: by time, by number, by topic and key.
    Replay(Box<ReplayOptions>),
    /// Compares the table with the topics, and repairs what is missing.
    Audit(Box<AuditOptions>),
    /// Lists what consumers have put aside, and sends it to them again.
    DeadLetters(DeadLettersOptions),
    /// Prints the completions of a shell.
    Completions(CompletionsOptions),
}

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to worry about: exit code 0.
    Fine,
    /// Something that somebody should look after: exit code 1.
    Trouble,
}

/// Does what is asked. The exit code is 0, 1 where it failed or found trouble, 2 where what was asked makes no sense.
pub async fn operate(command: OperatorCommand) -> ExitCode {
    let ended = match command {
        OperatorCommand::Status(options) => status::status(&options).await,
        OperatorCommand::Doctor(options) => doctor::doctor(&options).await,
        OperatorCommand::Explain(options) => explain::explain(&options).await,
        OperatorCommand::Parked(options) => parked::parked(&options).await,
        OperatorCommand::Replay(options) => replay::replay(&options).await,
        OperatorCommand::Audit(options) => audit::audit(&options).await,
        OperatorCommand::DeadLetters(options) => dead_letters::dead_letters(&options).await,
        OperatorCommand::Completions(options) => completions::completions(&options),
    };
    match ended {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Trouble) => ExitCode::FAILURE,
        // A reader who has seen enough is no failure.
        Err(CommandError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("outbox-relay: {error}");
            match error {
                CommandError::Usage(_) => ExitCode::from(2),
                CommandError::Source { .. } | CommandError::Fault(_) | CommandError::Output(_) => {
                    ExitCode::FAILURE
                }
            }
        }
    }
}
