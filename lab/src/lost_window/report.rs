//! What the experiment has shown.

use std::fmt;

use serde_json::{Value, json};

use super::Tally;
use crate::{audit::Verdict, invariants::Invariant};

/// Both stores after the same kills.
#[derive(Clone, Debug)]
pub struct Report {
    /// What orders and moments were drawn from.
    pub seed: u64,
    /// How often each store was killed.
    pub kills: u32,
    /// The store that commits, and then publishes.
    pub dual_write: Outcome,
    /// Ours.
    pub outbox: Outcome,
}

/// What became of one store.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The orders, counted.
    pub tally: Tally,
    /// What the auditor says.
    pub verdicts: Vec<Verdict>,
}

impl Outcome {
    /// The invariants that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = Invariant> {
        self.verdicts.iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.invariant)
    }

    /// Whether each order is well, and the auditor finds nothing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tally.is_whole() && self.broken().next().is_none()
    }

    /// For programs.
    fn json(&self) -> Value {
        let mut value = self.tally.json();
        value["broken"] = self.broken().map(|invariant| invariant.to_string()).collect();
        value
    }

    /// For people: the numbers of the invariants that do not hold.
    fn says(&self) -> String {
        let broken: Vec<_> = self.broken().map(|invariant| invariant.to_string()).collect();
        if broken.is_empty() { "nothing".to_owned() } else { broken.join(" ") }
    }
}

impl Report {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "kills": self.kills,
            "dual_write": self.dual_write.json(),
            "outbox": self.outbox.json(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, .. } = self;
        let (dual_write, outbox) = (&self.dual_write.tally, &self.outbox.tally);
        writeln!(
            f,
            "{kills} kills of each store between a commit and its event (--seed {seed})\n"
        )?;
        writeln!(f, "{:<30}{:>22}{:>16}", "", "dual write", "outbox")?;
        for (name, dual_write, outbox) in [
            ("orders", dual_write.orders, outbox.orders),
            ("  lost an event", dual_write.lost, outbox.lost),
            ("  stuck for ever", dual_write.stuck, outbox.stuck),
            ("  charged twice", dual_write.charged_twice, outbox.charged_twice),
            ("  paid once, all as it should", dual_write.well, outbox.well),
            ("units of stock missing", dual_write.missing_units, outbox.missing_units),
        ] {
            writeln!(f, "{name:<30}{dual_write:>22}{outbox:>16}")?;
        }
        let (dual_write, outbox) = (self.dual_write.says(), self.outbox.says());
        writeln!(f, "{:<30}{dual_write:>22}{outbox:>16}", "broken, says the auditor")?;
        for (name, outcome) in [("dual write", &self.dual_write), ("outbox", &self.outbox)] {
            let wrong = outcome.verdicts.iter().filter(|verdict| !verdict.holds());
            for (invariant, first) in
                wrong.filter_map(|verdict| Some((verdict.invariant, verdict.violations.first()?)))
            {
                writeln!(f, "\n{name}, {invariant}: {first}")?;
            }
        }
        Ok(())
    }
}
