//! What the relay writes on a partition, as its comment: since when it is wholly published, and that it is to be dropped.
//!
//! It is on the table itself so that a relay that comes after knows it, and an operator sees it. A table that somebody has
//! detached by hand does not say that it is to be dropped, and is left alone.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const PREFIX: &str = "outbox-relay: published since ";
const SUFFIX: &str = ", to be dropped";

/// A mark on a partition all of whose numbers are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Since when, by the database's clock.
    pub(super) since: OffsetDateTime,
    /// Whether the relay is detaching it.
    pub(super) doomed: bool,
}

impl Mark {
    /// The mark that a comment is, if it is one.
    pub(super) fn parse(comment: &str) -> Option<Self> {
        let rest = comment.strip_prefix(PREFIX)?;
        let since = rest.strip_suffix(SUFFIX);
        let doomed = since.is_some();
        let since = OffsetDateTime::parse(since.unwrap_or(rest), &Rfc3339).ok()?;
        Some(Self { since, doomed })
    }

    /// The comment. It has nothing in it that would have to be escaped.
    pub(super) fn comment(self) -> String {
        let since = self.since.format(&Rfc3339).expect("a year of the database has four digits");
        format!("{PREFIX}{since}{}", if self.doomed { SUFFIX } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_other_comments_are_none() {
        let since = datetime!(2026-11-03 12:00:00.25 UTC);
        for doomed in [false, true] {
            let mark = Mark { since, doomed };
            assert_eq!(Mark::parse(&mark.comment()), Some(mark));
        }
        for other in ["", "the archive", "outbox-relay: published since long, to be dropped"] {
            assert_eq!(Mark::parse(other), None);
        }
    }
}
