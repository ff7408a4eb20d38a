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

    /// The last run of the set.
    pub(crate) fn last(&self) -> Option<Run> {
        self.runs.last_key_value().map(|(&first, &last)| Run { first, last })
    }

    /// Whether the set has at least so many numbers.
    pub(crate) fn has_at_least(&self, numbers: i64) -> bool {
        let mut left = numbers;
        numbers <= 0
            || self.iter().any(|run| {
                left = left.saturating_sub(run.last.saturating_sub(run.first).saturating_add(1));
                left <= 0
            })
    }

    /// Whether `number` is in the set.
    pub(crate) fn contains(&self, number: i64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &last)| last >= number)
    }

    /// Whether any number of `run` is in the set.
    pub(crate) fn meets(&self, run: Run) -> bool {
        self.runs.range(..=run.last).next_back().is_some_and(|(_, &last)| last >= run.first)
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

    /// Adds every number of `other`.
    pub(crate) fn extend(&mut self, other: &Self) {
        other.iter().for_each(|run| self.insert(run));
    }

    /// The numbers that are in this set and not in `other`.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut left = self.clone();
        other.iter().for_each(|run| left.remove(run));
        left
    }

    /// Takes the first `numbers` numbers out, and answers them.
    pub(crate) fn split_first(&mut self, numbers: i64) -> Self {
        let (mut first, mut left) = (Self::default(), numbers);
        while left > 0
            && let Some((start, end)) = self.runs.pop_first()
        {
            let cut = end.min(start.saturating_add(left - 1));
            first.runs.insert(start, cut);
            if cut < end {
                self.runs.insert(cut + 1, end);
            }
            left -= cut - start + 1;
        }
        first
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
                prop_assert_eq!(gaps.meets(run), insert);
            }
        }

        #[test]
        fn of_two_sets_each_number_is_where_it_belongs(
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
            let (plain, other) = (numbers(&left), numbers(&right));
            let expected: BTreeSet<i64> = plain.intersection(&other).copied().collect();
            prop_assert_eq!(numbers(&left.intersection(&right)), expected);
            let expected: BTreeSet<i64> = plain.difference(&other).copied().collect();
            prop_assert_eq!(numbers(&left.difference(&right)), expected);
            let mut both = left.clone();
            both.extend(&right);
            prop_assert_eq!(numbers(&both), &plain | &other);
            prop_assert_eq!(left.last().map(|run| run.last), plain.last().copied());
        }

        #[test]
        fn a_set_is_split_after_its_first_numbers(
            runs in prop::collection::vec((0_i64..60, 0_i64..8), 0..12),
            count in 0_usize..40,
        ) {
            let mut gaps = Gaps::default();
            for (first, length) in runs {
                gaps.insert(Run { first, last: first + length });
            }
            let plain = numbers(&gaps);
            prop_assert_eq!(gaps.has_at_least(count as i64), plain.len() >= count);
            let first = gaps.split_first(count as i64);
            let expected: BTreeSet<i64> = plain.iter().take(count).copied().collect();
            prop_assert_eq!(&numbers(&first), &expected);
            prop_assert_eq!(numbers(&gaps), &plain - &expected);
        }
    }
}
