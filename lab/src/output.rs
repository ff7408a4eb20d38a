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

/// An error with its causes. One that repeats its source, as those of sqlx do, says it once.
#[must_use]
pub fn in_one_sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match told.as_str() {
            "" => cause,
            _ if told.ends_with(&cause) => told,
            _ => format!("{told}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_repeats_of_its_source_is_said_once() {
        let error = anyhow::anyhow!("no table")
            .context("error returned from database: no table")
            .context("the database cannot be read");
        assert_eq!(
            in_one_sentence(&error),
            "the database cannot be read: error returned from database: no table"
        );
        let different = anyhow::anyhow!("no room").context("could not start");
        assert_eq!(in_one_sentence(&different), "could not start: no room");
    }

    #[test]
    fn only_that_nobody_reads_is_taken_for_it() {
        let of = |kind: ErrorKind| anyhow::Error::from(io::Error::from(kind)).context("said");
        assert!(is_unread(&of(ErrorKind::BrokenPipe)));
        assert!(!is_unread(&of(ErrorKind::NotFound)));
        assert!(!is_unread(&anyhow::anyhow!("broken pipe")));
    }
}
