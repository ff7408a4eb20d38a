//! A set of sequence numbers kept as runs, so that a million rolled back numbers in a row cost as much as one.

use std::collections::BTreeMap;

/// A run of consecutive sequence numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    /// The smallest number of the run.
    pub(crate) first: i64,
    /// The largest number of the run.
    pub(crate) last: i64,
}

/// Disjoint runs that never touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Gaps {
    /// First number of each run to its last.
    runs: BTreeMap<i64, i64>,
}

impl Gaps {
    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether no number is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter().map(|(&first, &last)| Run { first, last })
    }

    /// The smallest number of the set.
    pub(crate) fn first(&self) -> Option<i64> {
        self.runs.first_key_value().map(|(&first, _)| first)
    }

    /// Whether `number` is in the set.
    pub(crate) fn contains(&self, number: i64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &last)| last >= number)
    }

    /// Adds every number of `run`, joining it with the runs it meets.
    pub(crate) fn insert(&mut self, run: Run) {
        let Run { mut first, mut last } = run;
        // Whatever begins at or before the number after `last` and ends at or after the one before `first` meets the run.
        while let Some((&start, &end)) = self.runs.range(..=last.saturating_add(1)).next_back()
            && end >= first.saturating_sub(1)
        {
            self.runs.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.runs.insert(first, last);
    }

    /// Takes every number of `run` out.
    pub(crate) fn remove(&mut self, run: Run) {
        while let Some((&start, &end)) = self.runs.range(..=run.last).next_back()
            && end >= run.first
        {
            self.runs.remove(&start);
            if end > run.last {
                self.runs.insert(run.last + 1, end);
            }
            if start < run.first {
                self.runs.insert(start, run.first - 1);
            }
        }
    }

    /// The numbers that are in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for run in other.iter() {
            let from =
                self.runs.range(..=run.first).next_back().map_or(run.first, |(&start, _)| start);
            for (&start, &end) in self.runs.range(from..=run.last) {
                let (first, last) = (start.max(run.first), end.min(run.last));
                if first <= last {
                    both.insert(Run { first, last });
                }
            }
        }
        both
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(gaps: &Gaps) -> BTreeSet<i64> {
        gaps.iter().flat_map(|run| run.first..=run.last).collect()
    }

    proptest! {
        #[test]
        fn runs_hold_the_numbers_a_plain_set_would(
            steps in prop::collection::vec((any::<bool>(), 0_i64..60, 0_i64..8), 0..80),
        ) {
            let (mut gaps, mut plain) = (Gaps::default(), BTreeSet::new());
            for (insert, first, length) in steps {
                let run = Run { first, last: first + length };
                if insert {
                    gaps.insert(run);
                    plain.extend(run.first..=run.last);
                } else {
                    gaps.remove(run);
                    plain.retain(|number| !(run.first..=run.last).contains(number));
                }
                prop_assert_eq!(&numbers(&gaps), &plain);
                let ends: Vec<Run> = gaps.iter().collect();
                prop_assert!(ends.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
                prop_assert!((0..70).all(|number| gaps.contains(number) == plain.contains(&number)));
            }
        }

        #[test]
        fn the_intersection_holds_what_both_hold(
            left in prop::collection::vec((0_i64..60, 0_i64..8), 0..12),
            right in prop::collection::vec((0_i64..60, 0_i64..8), 0..12),
        ) {
            let build = |runs: Vec<(i64, i64)>| {
                let mut gaps = Gaps::default();
                for (first, length) in runs {
                    gaps.insert(Run { first, last: first + length });
                }
                gaps
            };
            let (left, right) = (build(left), build(right));
            let expected: BTreeSet<i64> =
                numbers(&left).intersection(&numbers(&right)).copied().collect();
            prop_assert_eq!(numbers(&left.intersection(&right)), expected);
        }
    }
}
