//! `completions`: what a shell wants to know of this command line.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::config::Cli;
use crate::operator::Verdict;
use crate::operator::error::CommandError;

/// Options of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsOptions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn completions(options: &CompletionsOptions) -> Result<Verdict, CommandError> {
    clap_complete::generate(options.shell, &mut Cli::command(), "outbox-relay", &mut io::stdout());
    Ok(Verdict::Fine)
}
