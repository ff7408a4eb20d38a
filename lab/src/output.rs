//! What `lab` says on standard output. A reader who has seen enough, such as `head`, is an error like any other until `main`, so
//! that all that was started is stopped; there it is no failure.

use std::{
    fmt,
    io::{self, ErrorKind, Write as _},
};

/// Says a line.
///
/// # Errors
/// If it cannot be written, also because nobody reads any more.
pub fn say(line: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Whether an error is that nobody reads any more.
#[must_use]
pub fn is_unread(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
