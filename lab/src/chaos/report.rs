//! What a round has shown: a page for people, or the same for programs.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    Coverage, Plan, Struck,
    timeline::{Timeline, clock, name},
};
use crate::{
    audit::{Motion, Verdict},
    history::{Answer, History},
};

/// What a round has shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// The round.
    pub plan: Plan,
    /// Which faults have happened.
    pub coverage: Coverage,
    /// How many orders there are.
    pub orders: usize,
    /// How many calls were made.
    pub calls: usize,
    /// How many of each command were done, refused, or came to nobody knows what.
    pub told: BTreeMap<&'static str, [usize; 3]>,
    /// What has happened when, as it ended.
    pub happened: Vec<Happened>,
    /// What did not come to rest.
    pub still_moves: Vec<Motion>,
    /// Panics of programs, and ends that no fault explains: a sentence each.
    pub crashes: Vec<String>,
    /// What the auditor says of each invariant.
    pub verdicts: Vec<Verdict>,
    /// The story of the first order that broke.
    pub timeline: Option<Timeline>,
    /// How long it took.
    pub took: Duration,
    /// Where the logs and the history are, if something is wrong.
    pub kept: Option<PathBuf>,
}

/// A fault that has happened, or has not.
#[derive(Clone, Debug)]
pub struct Happened {
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) name: String,
    pub(super) struck: Struck,
}

impl Report {
    /// Whether everything came to rest and every invariant holds.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.still_moves.is_empty()
            && self.crashes.is_empty()
            && self.verdicts.iter().all(Verdict::holds)
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "seed": self.plan.seed,
            "delivery": self.plan.delivery.name(),
            "again": self.plan.again(),
            "good": self.is_good(),
            "orders": self.orders,
            "calls": self.calls,
            "told": self.told,
            "seconds": self.took.as_secs_f64(),
            "still_moves": self.still_moves.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "crashes": self.crashes,
            "verdicts": self.verdicts.iter().map(Verdict::json).collect::<Vec<_>>(),
            "coverage": self.coverage.json(),
            "timeline": self.timeline.as_ref().map(ToString::to_string),
        })
    }
}

/// What the callers were told, counted.
pub(super) fn told(history: &History) -> BTreeMap<&'static str, [usize; 3]> {
    let mut told = BTreeMap::new();
    for call in &history.invocations {
        let counts: &mut [usize; 3] = told.entry(name(&call.command)).or_default();
        match call.answer {
            Answer::Ok(_) => counts[0] += 1,
            Answer::Refused { .. } => counts[1] += 1,
            Answer::Unknown => counts[2] += 1,
        }
    }
    told
}

impl fmt::Display for Happened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (began, ended) = (clock(self.began.into()), clock(self.ended.into()));
        let way = match &self.struck {
            Struck::Yes(way) => way,
            Struck::No => "did not happen",
        };
        write!(formatter, "{began} to {ended} {}: {way}", self.name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, coverage, orders, calls, .. } = self;
        let outcome = if self.is_good() { "every promise holds" } else { "A PROMISE IS BROKEN" };
        writeln!(
            formatter,
            "seed {}, {}: {} faults, {calls} calls, {orders} orders, {:.0} s: {outcome}",
            plan.seed,
            plan.delivery,
            coverage.struck(),
            self.took.as_secs_f64(),
        )?;
        let told: Vec<_> = self
            .told
            .iter()
            .map(|(command, [done, refused, unknown])| {
                format!("{command} {done} done, {refused} refused, {unknown} unknown")
            })
            .collect();
        writeln!(formatter, "  calls: {}", told.join("; "))?;
        for verdict in &self.verdicts {
            writeln!(formatter, "  {verdict}")?;
        }
        for motion in &self.still_moves {
            writeln!(formatter, "  not at rest: {motion}")?;
        }
        self.crashes.iter().try_for_each(|crash| writeln!(formatter, "  crashed: {crash}"))?;
        if !self.is_good() {
            self.happened.iter().try_for_each(|happened| writeln!(formatter, "  {happened}"))?;
        }
        if let Some(timeline) = &self.timeline {
            write!(formatter, "the first that broke: {timeline}")?;
        }
        if !self.is_good() {
            writeln!(formatter, "again: {}", plan.again())?;
        }
        if let Some(directory) = &self.kept {
            writeln!(formatter, "logs and history: {}", directory.display())?;
        }
        Ok(())
    }
}
