//! What `doctor` tells: a line a check.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::finding::{Finding, Level};

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    findings: Vec<Placed>,
}

/// What was found, and where.
#[derive(Debug, Serialize)]
struct Placed {
    /// A source's name, or `kafka`.
    place: String,
    #[serde(flatten)]
    finding: Finding,
}

impl Report {
    /// Adds what was found at one place.
    pub(crate) fn add(&mut self, place: &str, findings: Vec<Finding>) {
        let place = |finding| Placed { place: place.to_owned(), finding };
        self.findings.extend(findings.into_iter().map(place));
    }

    /// Whether anything is wrong.
    pub(crate) fn has_fault(&self) -> bool {
        self.findings.iter().any(|placed| placed.finding.level == Level::Fault)
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|Placed { place, finding }| {
            writeln!(out, "{:<8} {place}: {finding}", finding.level)
        })
    }
}
