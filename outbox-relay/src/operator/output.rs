//! How an answer is printed: for people, or as JSON for programs.

use std::fmt::Display;
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// For whom an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// People.
    Text,
    /// Programs: one JSON value a line.
    Json,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// For people, or for programs.
    #[arg(long, env = "RELAY_OUTPUT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl OutputArgs {
    /// Whether programs read it.
    pub(crate) fn is_json(self) -> bool {
        self.output == Output::Json
    }

    /// Prints a report: its `Display` for people, itself for programs.
    pub(crate) fn print(self, report: &(impl Serialize + Display)) -> io::Result<()> {
        let text = match self.output {
            Output::Text => report.to_string(),
            Output::Json => serde_json::to_string(report)?,
        };
        print_line(text.trim_end())
    }
}

/// Prints a line.
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// The time now.
pub(crate) fn now() -> String {
    timestamp(OffsetDateTime::now_utc().truncate_to_second())
}

/// A point in time, as programs and people read it.
pub(crate) fn timestamp(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// A point in time given in milliseconds since 1970.
pub(crate) fn milliseconds(since_1970: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(since_1970) * 1_000_000);
    at.map(timestamp).unwrap_or_default()
}

/// A length of time in the unit that fits it: `0.3 s`, `45 s`, `12 min`, `5 h`, `3 d`.
pub(crate) fn age(seconds: f64) -> String {
    match seconds {
        under if under < 10.0 => format!("{under:.1} s"),
        under if under < 120.0 => format!("{under:.0} s"),
        under if under < 7_200.0 => format!("{:.0} min", under / 60.0),
        under if under < 172_800.0 => format!("{:.0} h", under / 3_600.0),
        long => format!("{:.0} d", long / 86_400.0),
    }
}

/// Writes what has no form of its own in JSON as its text.
pub(crate) fn as_text<S: Serializer>(
    value: &impl Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// As [`as_text`], of what may not be there.
pub(crate) fn as_optional_text<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// Writes a point in time as programs read it.
pub(crate) fn time_as_text<S: Serializer>(
    at: &OffsetDateTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_that_fits_it() {
        let ages = [0.25, 45.0, 720.0, 18_000.0, 260_000.0].map(age);
        assert_eq!(ages, ["0.2 s", "45 s", "12 min", "5 h", "3 d"]);
    }
}
