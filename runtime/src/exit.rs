//! How a process ends: with code 0, or with 1 and one line that names the failure and its causes.

use std::{fmt::Display, process::ExitCode};

/// The exit code of `result`; a failure is told on standard error, with its causes if its alternate form has them.
pub fn code(name: &str, result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
