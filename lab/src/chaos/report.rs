//! What a round has shown: a page for people, or the same for programs.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    invariants::Invariant,
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
    /// Panics of programs, ends that no fault explains, and stops that were not tidy: a sentence each.
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
    /// How many of them are completed.
    pub completed: usize,
    /// The programs that did not become ready again though everything was whole: a sentence each.
    pub unready: Vec<String>,
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

/// In what a round that was played to its end has failed, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// An invariant does not hold.
    Broken(Invariant),
    /// Something still moves, or a program is not ready again.
    Restless,
    /// A program ended as none may.
    Crashed,
    /// No order was completed, so that what holds says nothing.
    Idle,
}

impl Audited {
    fn failures(&self) -> BTreeSet<Failure> {
        let broken = self.verdicts.iter().filter(|verdict| !verdict.holds());
        let mut failures: BTreeSet<_> =
            broken.map(|verdict| Failure::Broken(verdict.invariant)).collect();
        let is_restless = !self.still_moves.is_empty() || !self.unready.is_empty();
        failures.extend(is_restless.then_some(Failure::Restless));
        failures.extend((self.completed == 0).then_some(Failure::Idle));
        failures
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

    /// In what it has failed: nothing if it was not played to its end, which says nothing of the promises.
    #[must_use]
    pub fn failures(&self) -> BTreeSet<Failure> {
        let Some(audited) = self.audited() else { return BTreeSet::new() };
        let mut failures = audited.failures();
        failures.extend((!self.crashes.is_empty()).then_some(Failure::Crashed));
        failures
    }

    /// Whether it was played to its end, and has not failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.audited().is_some() && self.failures().is_empty()
    }

    /// Whether it was played to its end, and has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.failures().is_empty()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut page = json!({
            "seed": self.plan.seed,
            "delivery": self.plan.delivery.name(),
            "relay": self.plan.relay.to_string(),
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
                page["completed"] = json!(audited.completed);
                page["unready"] = json!(audited.unready);
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
            Struck::Yes(way) | Struck::Later(way, _) => way,
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
        for program in &self.unready {
            writeln!(formatter, "  not at rest: {program}")?;
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
        let orders = self.audited().map(|audited| format!(", {} orders", audited.orders));
        let orders = orders.unwrap_or_default();
        let outcome = match (&self.outcome, self.failures().first()) {
            (Outcome::BrokenOff(cause), _) => format!("not played to its end: {cause}"),
            (_, Some(Failure::Broken(_) | Failure::Restless)) => "A PROMISE IS BROKEN".to_owned(),
            (_, Some(Failure::Crashed)) => "A PROGRAM CRASHED".to_owned(),
            (_, Some(Failure::Idle)) => "NO ORDER WAS COMPLETED".to_owned(),
            (_, None) => "every promise holds".to_owned(),
        };
        writeln!(
            formatter,
            "seed {}, {}, {}: {} faults, {calls} calls{orders}, {:.0} s: {outcome}",
            plan.seed,
            plan.delivery,
            plan.relay,
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{audit::Owner, campaign::Delivery};

    /// A good one.
    pub(in super::super) fn report() -> Report {
        let verdict = Verdict {
            invariant: Invariant(6),
            counted: Vec::new(),
            violations: Vec::new(),
            limits: Vec::new(),
        };
        let audited = Audited {
            orders: 1,
            completed: 1,
            unready: Vec::new(),
            still_moves: Vec::new(),
            kafka_hangs: false,
            verdicts: vec![verdict],
            timeline: None,
        };
        Report {
            plan: Plan::with(1, Delivery::AtLeastOnce, Vec::new()),
            coverage: Coverage::default(),
            calls: 1,
            told: BTreeMap::new(),
            happened: Vec::new(),
            outcome: Outcome::Audited(audited),
            crashes: Vec::new(),
            took: Duration::ZERO,
            kept: None,
        }
    }

    fn audited(change: impl FnOnce(&mut Audited)) -> Report {
        let mut report = report();
        if let Outcome::Audited(audited) = &mut report.outcome {
            change(audited);
        }
        report
    }

    #[test]
    fn a_round_is_bad_by_each_failure_alone_and_names_it() {
        assert!(report().is_good() && !report().has_failed());
        let title = "seed 1, at-least-once, outbox-relay: ";
        assert!(report().to_string().starts_with(title), "{}", report());
        let broken = crate::audit::Violation::new(None, "no");
        let unpublished = Motion::Unpublished { owner: Owner::Payments, rows: 1 };
        let unready = "outbox-relay is not ready after 30 s".to_owned();
        for (report, failure, told) in [
            (
                audited(|audited| audited.verdicts[0].violations.push(broken)),
                Failure::Broken(Invariant(6)),
                "A PROMISE IS BROKEN",
            ),
            (
                audited(|audited| audited.still_moves.push(unpublished)),
                Failure::Restless,
                "not at rest: not on Kafka: 1 event",
            ),
            (
                audited(|audited| audited.unready.push(unready)),
                Failure::Restless,
                "not at rest: outbox-relay is not ready",
            ),
            (
                Report { crashes: vec!["a panic".to_owned()], ..report() },
                Failure::Crashed,
                "A PROGRAM CRASHED",
            ),
            (audited(|audited| audited.completed = 0), Failure::Idle, "NO ORDER WAS COMPLETED"),
        ] {
            assert!(!report.is_good() && report.has_failed());
            assert_eq!(report.failures(), BTreeSet::from([failure]));
            assert!(report.to_string().contains(told), "{report}");
        }
        let broken_off = Report { outcome: Outcome::BrokenOff("no".to_owned()), ..report() };
        assert!(!broken_off.is_good() && !broken_off.has_failed());
    }
}
