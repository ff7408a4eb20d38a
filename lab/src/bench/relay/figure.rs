//! What a figure consists of: what each contender showed in each run, and how that compares with the target.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{options::FigureId, plot::Plot};

/// One figure, measured.
pub(super) struct Figure {
    pub(super) id: FigureId,
    pub(super) title: &'static str,
    pub(super) entries: Vec<Entry>,
    pub(super) verdicts: Vec<Verdict>,
    /// What a reader has to know, such as what was left out, and why.
    pub(super) notes: Vec<String>,
    pub(super) plots: Vec<Plot>,
}

/// What one contender showed.
pub(super) struct Entry {
    pub(super) name: String,
    /// By measure, whose names end in their unit; in the order in which they are told.
    pub(super) measures: Vec<(&'static str, Spread)>,
}

/// One measure in each run.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread(Vec<f64>);

/// A ratio or an amount, and what it should be.
pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) spread: Spread,
    pub(super) target: Target,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    pub(super) fn new(id: FigureId, title: &'static str) -> Self {
        let (entries, verdicts, notes, plots) = Default::default();
        Self { id, title, entries, verdicts, notes, plots }
    }

    pub(super) fn json(&self) -> Value {
        let entries: BTreeMap<&str, BTreeMap<&str, Value>> = self
            .entries
            .iter()
            .map(|entry| {
                let measures = entry.measures.iter();
                let measures = measures.map(|(name, spread)| (*name, spread.json())).collect();
                (entry.name.as_str(), measures)
            })
            .collect();
        json!({
            "figure": self.id.to_string(),
            "title": self.title,
            "entries": entries,
            "verdicts": self.verdicts.iter().map(Verdict::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl Entry {
    /// Turns runs, each with the same measures, into one spread a measure.
    pub(super) fn of_runs(
        name: impl Into<String>,
        runs: impl IntoIterator<Item = Vec<(&'static str, f64)>>,
    ) -> Self {
        let mut measures: Vec<(&'static str, Spread)> = Vec::new();
        for run in runs {
            for (index, (measure, value)) in run.into_iter().enumerate() {
                if measures.len() <= index {
                    measures.push((measure, Spread::default()));
                }
                measures[index].1.0.push(value);
            }
        }
        Self { name: name.into(), measures }
    }

    /// What was measured under `name`; nothing if that was not.
    pub(super) fn spread(&self, name: &str) -> Spread {
        let found = self.measures.iter().find(|(measure, _)| *measure == name);
        found.map(|(_, spread)| spread.clone()).unwrap_or_default()
    }
}

impl Spread {
    /// Each run's value divided by that of `other` in the same run.
    pub(super) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// Each run's value less that of `other` in the same run.
    pub(super) fn minus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one - other).collect())
    }

    pub(super) fn least(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(f64::NAN)
    }

    pub(super) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    pub(super) fn most(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(f64::NAN)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    fn json(&self) -> Value {
        json!({ "min": self.least(), "median": self.median(), "max": self.most(), "runs": self.0 })
    }
}

impl Verdict {
    /// Whether the median is as it should be.
    pub(super) fn met(&self) -> bool {
        match self.target {
            Target::AtLeast(bound) => self.spread.median() >= bound,
            Target::AtMost(bound) => self.spread.median() <= bound,
        }
    }

    fn json(&self) -> Value {
        let (relation, bound) = match self.target {
            Target::AtLeast(bound) => ("at least", bound),
            Target::AtMost(bound) => ("at most", bound),
        };
        let mut json = self.spread.json();
        json["what"] = self.what.clone().into();
        json["target"] = json!({ "relation": relation, "bound": bound });
        json["met"] = self.met().into();
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_run() {
        let (one, other) = (Spread(vec![2.0, 9.0, 4.0]), Spread(vec![1.0, 3.0, 8.0]));
        let ratio = one.over(&other);
        assert_eq!((ratio.least(), ratio.median(), ratio.most()), (0.5, 2.0, 3.0));
        assert_eq!(one.minus(&other).median(), 1.0);
    }

    #[test]
    fn a_target_is_met_by_the_median() {
        let verdict = |target| Verdict {
            what: String::new(),
            spread: Spread(vec![1.0, 2.0, 3.0, 10.0]),
            target,
        };
        assert!(verdict(Target::AtLeast(2.5)).met() && !verdict(Target::AtLeast(2.6)).met());
        assert!(verdict(Target::AtMost(2.5)).met() && !verdict(Target::AtMost(2.4)).met());
    }

    #[test]
    fn nothing_measured_meets_nothing() {
        let spread = Spread::default();
        assert!(!Verdict { what: String::new(), spread, target: Target::AtMost(1.0) }.met());
    }
}
