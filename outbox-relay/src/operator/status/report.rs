//! What `status` tells, for people and for programs.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::fault::Fault;
use crate::operator::leader::Leader;
use crate::operator::output::age;
use crate::operator::status::look::Sample;
use crate::operator::transactions::OpenTransaction;

/// So many open transactions are told to people.
const TOLD: usize = 5;

/// All sources.
#[derive(Debug, Serialize)]
pub(crate) struct StatusReport {
    /// Each of them.
    pub(crate) sources: Vec<SourceStatus>,
}

/// One source. What is not known is left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct SourceStatus {
    /// Its name.
    pub(crate) source: String,
    /// Who leads.
    pub(crate) leader: Option<Leader>,
    /// The largest number done with.
    pub(crate) head: Option<i64>,
    /// The number below which nothing is open.
    pub(crate) watermark: Option<i64>,
    /// The last number drawn.
    pub(crate) last_value: Option<i64>,
    /// What waits.
    pub(crate) waiting: Option<Waiting>,
    /// Numbers done with a second.
    pub(crate) published_per_second: Option<f64>,
    /// Numbers drawn a second.
    pub(crate) drawn_per_second: Option<f64>,
    /// What is open below the head.
    pub(crate) gaps: Option<Gaps>,
    /// How many keys wait for an operator.
    pub(crate) parked_keys: Option<usize>,
    /// How many partitions lie wholly above the last number drawn.
    pub(crate) partitions_ahead: Option<i64>,
    /// What somebody should look after.
    pub(crate) trouble: Vec<Fault>,
}

/// Rows that are committed and not published.
#[derive(Debug, Serialize)]
pub(crate) struct Waiting {
    /// How many.
    pub(crate) rows: i64,
    /// How that is known.
    pub(crate) count: Count,
    /// How long ago the oldest was created, in seconds.
    pub(crate) oldest_age: Option<f64>,
}

/// How far a number of rows can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Count {
    /// All have been counted.
    Exact,
    /// They are many, and the sequence tells how many numbers were drawn.
    About,
    /// So many have been counted among the first numbers; many more have been drawn, whose rows may be open or rolled back.
    #[serde(rename = "at least")]
    AtLeast,
}

/// Numbers below the head that are neither published nor given up.
#[derive(Debug, Serialize)]
pub(crate) struct Gaps {
    /// In how many runs they lie.
    pub(crate) runs: usize,
    /// How many they are.
    pub(crate) numbers: i64,
    /// The first run's first and last number.
    pub(crate) first: Option<(i64, i64)>,
    /// The transactions that may still fill them, oldest first.
    pub(crate) held_by: Vec<OpenTransaction>,
}

impl StatusReport {
    /// Whether there is something to look after.
    pub(crate) fn has_trouble(&self) -> bool {
        self.sources.iter().any(|source| !source.trouble.is_empty())
    }
}

impl SourceStatus {
    /// A source of which nothing is known yet.
    pub(crate) fn named(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    /// A source whose database tells nothing.
    pub(crate) fn unknown(source: &str, fault: &Fault) -> Self {
        Self { trouble: vec![fault.clone()], ..Self::named(source) }
    }

    /// Takes the rates from two looks.
    pub(crate) fn measure(&mut self, before: Option<&Sample>, after: Option<&Sample>) {
        let (Some(before), Some(after)) = (before, after) else { return };
        let seconds = after.at.duration_since(before.at).as_secs_f64();
        if seconds > 0.0 {
            let rate = |before: i64, after: i64| Some((after - before).max(0) as f64 / seconds);
            self.published_per_second = rate(before.done, after.done);
            self.drawn_per_second = rate(before.drawn, after.drawn);
        }
    }

    /// All in one line, for a log.
    pub(crate) fn line(&self) -> String {
        let mut parts = vec![format!("{}:", self.source)];
        parts.extend(self.leader.as_ref().map(|leader| format!("led by {leader};")));
        parts.extend(self.waiting.as_ref().map(|waiting| format!("{waiting} waiting;")));
        parts.extend(self.published_per_second.map(|rate| format!("{rate:.0}/s;")));
        parts.extend(self.gaps.as_ref().map(|gaps| format!("{} gaps;", gaps.runs)));
        parts.extend(self.parked_keys.map(|keys| format!("{keys} parked;")));
        parts.extend(self.trouble.iter().map(|fault| format!("! {fault};")));
        parts.join(" ").trim_end_matches(';').to_owned()
    }
}

impl Display for StatusReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, source) in self.sources.iter().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            source.fmt(out)?;
        }
        Ok(())
    }
}

impl Display for SourceStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.source)?;
        if let Some(leader) = &self.leader {
            writeln!(out, "  leader      {leader}")?;
        }
        if let (Some(head), Some(watermark), Some(last)) =
            (self.head, self.watermark, self.last_value)
        {
            writeln!(out, "  position    head {head}, watermark {watermark}, last drawn {last}")?;
        }
        if let Some(waiting) = &self.waiting {
            writeln!(out, "  waiting     {waiting}")?;
        }
        if let (Some(published), Some(drawn)) = (self.published_per_second, self.drawn_per_second) {
            writeln!(out, "  rate        {published:.0}/s published, {drawn:.0}/s drawn")?;
        }
        if let Some(gaps) = &self.gaps {
            writeln!(out, "  gaps        {gaps}")?;
        }
        if let Some(keys) = self.parked_keys {
            writeln!(out, "  parked      {keys} keys")?;
        }
        if let Some(ahead) = self.partitions_ahead {
            writeln!(out, "  partitions  {ahead} ahead")?;
        }
        self.trouble.iter().try_for_each(|fault| writeln!(out, "  ! {fault}"))
    }
}

impl Display for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.count {
            Count::Exact => "",
            Count::About => "about ",
            Count::AtLeast => "at least ",
        };
        write!(out, "{count}{} rows", self.rows)?;
        match self.oldest_age {
            Some(seconds) => write!(out, ", the oldest for {}", age(seconds)),
            None => Ok(()),
        }
    }
}

impl Display for Gaps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, last)) = self.first else { return write!(out, "none") };
        write!(out, "{} open, {} numbers, the first {first} to {last}", self.runs, self.numbers)?;
        if self.held_by.is_empty() {
            return write!(out, "; nobody can fill them any more");
        }
        let told = self.held_by.iter().take(TOLD);
        told.into_iter()
            .try_for_each(|open| write!(out, "\n              may be filled by {open}"))?;
        match self.held_by.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(out, "\n              and {more} more"),
        }
    }
}
