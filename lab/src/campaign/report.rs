//! What rounds have shown: one report each, and a table of all.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use thiserror::Error;

use super::{Plan, Subject};
use crate::invariants::{Event, Violation};

/// How many findings of a round are told one by one.
const SHOWN: usize = 5;

/// Something that must not be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Finding {
    /// An invariant does not hold.
    #[error("{0}")]
    Violation(Violation),
    /// A record has not the bytes of its row.
    #[error("I-2: {0} has other bytes than its row")]
    Altered(Event),
    /// Events of ended transactions do not come while another transaction is open.
    #[error("no stall: {0} events did not come while another transaction was open")]
    Stalled(usize),
    /// Events do not come though nothing is open.
    #[error("{0} events did not come in time")]
    Late(usize),
}

/// What a round has shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// The round.
    pub plan: Plan,
    /// Whether the fault has happened.
    pub reached: bool,
    /// How many rows were committed.
    pub rows: usize,
    /// How many records there are beyond one an event.
    pub repeats: usize,
    /// What must not be.
    pub findings: Vec<Finding>,
    /// Why it could not be played to its end.
    pub error: Option<String>,
    /// Whether Kafka has left a transaction hanging, so that the round is judged as at least once.
    pub kafka_hangs: bool,
    /// How long it took.
    pub took: Duration,
    /// Where the relays' logs are, if something is wrong.
    pub logs: Option<PathBuf>,
}

impl Report {
    /// That of a round of which nothing is known yet.
    pub(super) fn of(plan: Plan) -> Self {
        Self {
            plan,
            reached: false,
            rows: 0,
            repeats: 0,
            findings: Vec::new(),
            error: None,
            kafka_hangs: false,
            took: Duration::ZERO,
            logs: None,
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.error.is_none()
    }

    /// Its subject and its seed, in one word.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.plan.subject, self.plan.seed).replace(' ', "-")
    }

    /// What has to be run for the same round.
    fn again(&self) -> String {
        match self.plan.subject {
            Subject::Relay { delivery, fault } => format!(
                "lab soak --rounds 1 --seed {} --point {fault} --delivery {delivery}",
                self.plan.seed
            ),
            Subject::Variant(variant) => format!("{variant:?} with seed {}", self.plan.seed),
        }
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "subject": self.plan.subject.to_string(),
            "seed": self.plan.seed,
            "hit": self.plan.hit(),
            "reached": self.reached,
            "rows": self.rows,
            "repeats": self.repeats,
            "seconds": self.took.as_secs_f64(),
            "findings": self.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "error": self.error,
            "kafka_hangs": self.kafka_hangs,
            "again": self.again(),
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay { delivery, fault } => write!(formatter, "{fault} {delivery}"),
            Self::Variant(variant) => write!(formatter, "{variant:?}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = if self.reached { "reached" } else { "not reached" };
        write!(
            formatter,
            "{} seed {} hit {} {reached}: {} rows, {} repeats, {:.1} s",
            self.plan.subject,
            self.plan.seed,
            self.plan.hit(),
            self.rows,
            self.repeats,
            self.took.as_secs_f64()
        )?;
        if self.is_good() {
            return Ok(());
        }
        for finding in self.findings.iter().take(SHOWN) {
            write!(formatter, "\n  {finding}")?;
        }
        if self.findings.len() > SHOWN {
            write!(formatter, "\n  and {} more", self.findings.len() - SHOWN)?;
        }
        if let Some(error) = &self.error {
            write!(formatter, "\n  {error}")?;
        }
        if let Some(logs) = &self.logs {
            write!(formatter, "\n  logs: {}", logs.display())?;
        }
        write!(formatter, "\n  again: {}", self.again())
    }
}

/// What many rounds have shown.
#[derive(Debug, Default)]
pub struct Summary {
    reports: Vec<Report>,
}

/// The rounds of one subject, added up.
#[derive(Debug, Default)]
struct Line {
    rounds: usize,
    reached: usize,
    rows: usize,
    repeats: usize,
    bad: usize,
}

impl Summary {
    /// One more round.
    pub fn add(&mut self, report: Report) {
        self.reports.push(report);
    }

    /// The rounds in which something is wrong.
    pub fn bad(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| !report.is_good())
    }

    /// The subjects whose fault did not happen in some rounds, and in how many.
    #[must_use]
    pub fn not_reached(&self) -> Vec<(String, usize)> {
        self.lines()
            .into_iter()
            .filter(|(_, line)| line.reached < line.rounds)
            .map(|(subject, line)| (subject, line.rounds - line.reached))
            .collect()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        Value::Array(self.reports.iter().map(Report::json).collect())
    }

    fn lines(&self) -> BTreeMap<String, Line> {
        let mut lines: BTreeMap<String, Line> = BTreeMap::new();
        for report in &self.reports {
            let line = lines.entry(report.plan.subject.to_string()).or_default();
            line.rounds += 1;
            line.reached += usize::from(report.reached);
            line.rows += report.rows;
            line.repeats += report.repeats;
            line.bad += usize::from(!report.is_good());
        }
        lines
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| Fault and delivery | Rounds | Reached | Rows | Repeats | Bad |")?;
        writeln!(formatter, "|---|---:|---:|---:|---:|---:|")?;
        for (subject, line) in self.lines() {
            let Line { rounds, reached, rows, repeats, bad } = line;
            writeln!(
                formatter,
                "| {subject} | {rounds} | {reached} | {rows} | {repeats} | {bad} |"
            )?;
        }
        let hanging = self.reports.iter().filter(|report| report.kafka_hangs).count();
        if hanging > 0 {
            writeln!(
                formatter,
                "in {hanging} rounds Kafka itself left a transaction hanging: judged as at least once"
            )?;
        }
        for report in self.bad() {
            writeln!(formatter, "\n{report}")?;
        }
        Ok(())
    }
}
