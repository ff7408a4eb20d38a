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
    /// How many calls were made.
    pub calls: usize,
    /// How many of each command were done, refused, or came to nobody knows what.
    pub told: BTreeMap<&'static str, [usize; 3]>,
    /// What has happened when, as it ended.
    pub happened: Vec<Happened>,
    /// How it ended.
    pub outcome: Outcome,
    /// Panics of programs, and ends that no fault explains: a sentence each.
    pub crashes: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// Where the logs and the history are, or why they are nowhere, if something is wrong.
    pub kept: Option<Result<PathBuf, String>>,
}

/// How a round has ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Everything healed, and was audited.
    Audited(Audited),
    /// It was not played to its end, for this reason, which says nothing of the system's promises.
    BrokenOff(String),
}

/// What the auditor has found at the end of a round.
#[derive(Clone, Debug)]
pub struct Audited {
    /// How many orders there are.
    pub orders: usize,
    /// What did not come to rest.
    pub still_moves: Vec<Motion>,
    /// Whether Kafka has left a transaction hanging, so that all is judged as at least once.
    pub kafka_hangs: bool,
    /// What it says of each invariant.
    pub verdicts: Vec<Verdict>,
    /// The story of the first order that broke.
    pub timeline: Option<Timeline>,
}

/// A fault that has happened, or has not.
#[derive(Clone, Debug)]
pub struct Happened {
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) name: String,
    pub(super) struck: Struck,
}

impl Audited {
    /// Whether everything came to rest and every invariant holds.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.still_moves.is_empty() && self.verdicts.iter().all(Verdict::holds)
    }
}

impl Report {
    /// What the auditor has found, if the round was played to its end.
    #[must_use]
    pub fn audited(&self) -> Option<&Audited> {
        match &self.outcome {
            Outcome::Audited(audited) => Some(audited),
            Outcome::BrokenOff(_) => None,
        }
    }

    /// Whether it was played to its end, no program crashed, everything came to rest, and every invariant holds.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.crashes.is_empty() && self.audited().is_some_and(Audited::is_good)
    }

    /// Whether it was played to its end, and a program crashed or a promise is broken.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.audited().is_some() && !self.is_good()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut page = json!({
            "seed": self.plan.seed,
            "delivery": self.plan.delivery.name(),
            "again": self.plan.again(),
            "good": self.is_good(),
            "calls": self.calls,
            "told": self.told,
            "seconds": self.took.as_secs_f64(),
            "happened": self.happened.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "crashes": self.crashes,
            "coverage": self.coverage.json(),
        });
        match &self.outcome {
            Outcome::Audited(audited) => {
                let moves = audited.still_moves.iter().map(ToString::to_string);
                page["orders"] = json!(audited.orders);
                page["still_moves"] = moves.collect();
                page["kafka_hangs"] = json!(audited.kafka_hangs);
                page["verdicts"] = audited.verdicts.iter().map(Verdict::json).collect();
                page["timeline"] = json!(audited.timeline.as_ref().map(ToString::to_string));
            }
            Outcome::BrokenOff(cause) => page["not_played_to_its_end"] = json!(cause),
        }
        match &self.kept {
            Some(Ok(directory)) => page["kept"] = json!(directory),
            Some(Err(cause)) => page["not_kept"] = json!(cause),
            None => {}
        }
        page
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

impl fmt::Display for Audited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in &self.verdicts {
            writeln!(formatter, "  {verdict}")?;
        }
        if self.kafka_hangs {
            writeln!(
                formatter,
                "  Kafka itself left a transaction hanging: judged as at least once"
            )?;
        }
        for motion in &self.still_moves {
            writeln!(formatter, "  not at rest: {motion}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, coverage, calls, .. } = self;
        let (orders, outcome) = match &self.outcome {
            Outcome::Audited(audited) if self.is_good() => {
                (format!(", {} orders", audited.orders), "every promise holds".to_owned())
            }
            Outcome::Audited(audited) if audited.is_good() => {
                (format!(", {} orders", audited.orders), "A PROGRAM CRASHED".to_owned())
            }
            Outcome::Audited(audited) => {
                (format!(", {} orders", audited.orders), "A PROMISE IS BROKEN".to_owned())
            }
            Outcome::BrokenOff(cause) => (String::new(), format!("not played to its end: {cause}")),
        };
        writeln!(
            formatter,
            "seed {}, {}: {} faults, {calls} calls{orders}, {:.0} s: {outcome}",
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
        if let Some(audited) = self.audited() {
            write!(formatter, "{audited}")?;
        }
        self.crashes.iter().try_for_each(|crash| writeln!(formatter, "  crashed: {crash}"))?;
        if !self.is_good() {
            self.happened.iter().try_for_each(|happened| writeln!(formatter, "  {happened}"))?;
        }
        if let Some(timeline) = self.audited().and_then(|audited| audited.timeline.as_ref()) {
            write!(formatter, "the first that broke: {timeline}")?;
        }
        if !self.is_good() {
            writeln!(formatter, "again: {}", plan.again())?;
        }
        match &self.kept {
            Some(Ok(directory)) => writeln!(formatter, "logs and history: {}", directory.display()),
            Some(Err(cause)) => writeln!(formatter, "logs and history could not be kept: {cause}"),
            None => Ok(()),
        }
    }
}
