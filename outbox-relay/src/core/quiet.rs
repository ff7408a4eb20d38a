//! Which open numbers need not be looked up: those whose every possible filler is still in progress in the snapshot of the look.
//!
//! A row is visible in a snapshot only if its transaction is not in progress in it. So a number may be passed over in a look that
//! asks, in its own snapshot, whether each transaction that could have drawn it is in progress. Who could have is known
//! in two steps, as with giving up:
//!
//! - An observation tells who may still fill the number ([`Holders`](crate::core::holders::Holders)). Who had drawn it and ended
//!   before the observation is not among them.
//! - So it is looked up once more, in a later snapshot, which shows what they have committed. From then on it is **quiet**: only
//!   those that were observed can still fill it.
//!
//! A transaction is known by its id, which it keeps when it is prepared. Where one has none yet, what it may fill stays loud.
//!
//! One that was observed and is no more has ended. What has become of it the next look asks as well: if it was rolled back, the look
//! goes past its numbers too.

use std::collections::BTreeMap;

use crate::core::gaps::{Gaps, Run};

/// What has become of a transaction, as a look asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate {
    /// In progress in the snapshot of the look: it shows none of its rows.
    InProgress,
    /// Rolled back by now: no snapshot ever shows a row of it.
    RolledBack,
    /// Committed, or not known: the snapshot may show its rows.
    Ended,
}

/// What has become of each of the fillers; of those not named, nothing is known.
pub(crate) type Fates = BTreeMap<i64, Fate>;

/// The open numbers that are quiet, and on whom that rests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Quiet {
    /// Whoever may fill one of these, by a row that the last look at it has not shown, is among the fillers whose run it is in.
    numbers: Gaps,
    /// The same would hold for these if they were looked up now.
    candidates: Gaps,
    /// Transactions by their ids, and what each of them may fill.
    fillers: BTreeMap<i64, Run>,
    /// Those that the last observation has not shown any more, and what each of them may have filled of what is quiet.
    gone: BTreeMap<i64, Run>,
}

impl Quiet {
    /// Takes in who may fill what of the `open` numbers as of an observation: runs of numbers with the transaction's id, if it is
    /// known. All of the numbers were drawn before it.
    pub(crate) fn observe(
        &mut self,
        blocked: impl Iterator<Item = (Option<i64>, Run)>,
        open: &Gaps,
    ) {
        let mut previous = std::mem::take(&mut self.fillers);
        previous.append(&mut self.gone);
        self.candidates = open.clone();
        for (id, run) in blocked {
            match id {
                Some(id) => self.add(id, run, previous.get(&id)),
                None => self.candidates.remove(run),
            }
        }
        previous.retain(|id, _| !self.fillers.contains_key(id));
        self.gone = previous;
        self.forget_taken(open);
    }

    /// One transaction may be seen under two virtual ids, and was perhaps known to fill more.
    fn add(&mut self, id: i64, run: Run, before: Option<&Run>) {
        let known = self.fillers.entry(id).or_insert(run);
        for other in [Some(&run), before].into_iter().flatten() {
            *known = Run { first: known.first.min(other.first), last: known.last.max(other.last) };
        }
    }

    /// The transactions of which a look has to know what has become, if at least so many numbers are quiet.
    pub(crate) fn fillers(&self, numbers: i64) -> Option<Vec<i64>> {
        let worthwhile = self.numbers.has_at_least(numbers);
        worthwhile.then(|| self.fillers.keys().chain(self.gone.keys()).copied().collect())
    }

    /// Which of the `open` numbers have to be looked up in a snapshot in which these are the fates of the fillers: all, if nobody has
    /// asked.
    pub(crate) fn gaps_to_look_up(&mut self, fates: Option<&Fates>, open: &Gaps) -> Gaps {
        let Self { numbers, candidates, .. } = self;
        let mut goes_on = |id: &i64, run: &mut Run| match fates.and_then(|fates| fates.get(id)) {
            Some(Fate::InProgress) => true,
            Some(Fate::RolledBack) => false,
            Some(Fate::Ended) | None => {
                let mut within = Gaps::default();
                within.insert(*run);
                // Once looked up, the others among its fillers are all that are left.
                candidates.extend(&numbers.intersection(&within));
                numbers.remove(*run);
                false
            }
        };
        self.gone.retain(&mut goes_on);
        if fates.is_none() {
            return open.clone();
        }
        self.fillers.retain(goes_on);
        open.difference(numbers)
    }

    /// The `numbers` have been looked up in one snapshot, and what was found has been taken.
    pub(crate) fn looked_up(&mut self, numbers: &Gaps, open: &Gaps) {
        self.numbers.extend(&self.candidates.intersection(numbers));
        self.candidates = self.candidates.difference(numbers);
        self.forget_taken(open);
    }

    /// What is quiet.
    pub(crate) fn numbers(&self) -> &Gaps {
        &self.numbers
    }

    /// Forgets what has been taken or given up, and those who could fill nothing else.
    fn forget_taken(&mut self, open: &Gaps) {
        self.numbers = self.numbers.intersection(open);
        self.candidates = self.candidates.intersection(open);
        let (numbers, candidates) = (&self.numbers, &self.candidates);
        self.fillers.retain(|_, run| numbers.meets(*run) || candidates.meets(*run));
        self.gone.retain(|_, run| numbers.meets(*run));
    }
}

#[cfg(test)]
impl Quiet {
    /// Forgets who is gone, as if each of them had been rolled back, which is wrong.
    pub(crate) fn forget_gone(&mut self) {
        self.gone.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(runs: &[(i64, i64)]) -> Gaps {
        let mut gaps = Gaps::default();
        runs.iter().for_each(|&(first, last)| gaps.insert(Run { first, last }));
        gaps
    }

    fn blocks(id: i64, first: i64, last: i64) -> (Option<i64>, Run) {
        (Some(id), Run { first, last })
    }

    /// Two transactions have been observed, and what they may fill was looked up after that: 1 to 9 and 5 to 20.
    fn looked_up(open: &Gaps) -> Quiet {
        let mut quiet = Quiet::default();
        quiet.observe([blocks(742, 1, 9), blocks(743, 5, 20)].into_iter(), open);
        let wanted = quiet.gaps_to_look_up(Some(&Fates::new()), open);
        assert_eq!(
            wanted, *open,
            "nobody can have filled it before the observation, but for those who had ended"
        );
        quiet.observe([blocks(742, 1, 9), blocks(743, 5, 20)].into_iter(), open);
        quiet.looked_up(&wanted, open);
        quiet
    }

    #[test]
    fn a_number_is_looked_up_again_when_one_of_those_who_may_fill_it_has_ended() {
        let open = gaps(&[(2, 3), (7, 7), (15, 20)]);
        let mut quiet = looked_up(&open);
        assert_eq!(quiet.fillers(9), Some(vec![742, 743]));
        assert_eq!(quiet.fillers(10), None, "it is not worth the question");
        let mut fates = Fates::from([(742, Fate::InProgress), (743, Fate::InProgress)]);
        assert!(quiet.gaps_to_look_up(Some(&fates), &open).is_empty());
        fates.insert(742, Fate::Ended);
        let wanted = quiet.gaps_to_look_up(Some(&fates), &open);
        assert_eq!(wanted, gaps(&[(2, 3), (7, 7)]));
        quiet.looked_up(&wanted, &open);
        assert_eq!(quiet.fillers(1), Some(vec![743]));
        assert!(quiet.gaps_to_look_up(Some(&fates), &open).is_empty(), "743 is the only one left");
    }

    #[test]
    fn what_was_rolled_back_is_not_looked_up_again() {
        let open = gaps(&[(2, 3), (7, 7), (15, 20)]);
        let mut quiet = looked_up(&open);
        let fates = Fates::from([(742, Fate::InProgress), (743, Fate::RolledBack)]);
        assert!(quiet.gaps_to_look_up(Some(&fates), &open).is_empty());
        assert_eq!(quiet.fillers(1), Some(vec![742]));
    }

    #[test]
    fn who_is_gone_by_the_next_observation_may_have_filled_what_was_quiet_unless_it_was_rolled_back()
     {
        let open = gaps(&[(2, 3), (7, 7), (15, 20)]);
        let mut gone = looked_up(&open);
        gone.observe(std::iter::once(blocks(742, 1, 9)), &open);
        assert_eq!(gone.fillers(1), Some(vec![742, 743]));
        for (fate, wanted) in [
            (Some(Fate::Ended), gaps(&[(7, 7), (15, 20)])),
            (None, gaps(&[(7, 7), (15, 20)])),
            (Some(Fate::RolledBack), Gaps::default()),
        ] {
            let mut quiet = gone.clone();
            let mut fates = Fates::from([(742, Fate::InProgress)]);
            fates.extend(fate.map(|fate| (743, fate)));
            assert_eq!(quiet.gaps_to_look_up(Some(&fates), &open), wanted, "{fate:?}");
            assert_eq!(quiet.fillers(0), Some(vec![742]), "{fate:?}");
        }
    }

    #[test]
    fn who_is_gone_and_not_asked_for_is_forgotten_with_what_it_may_have_filled() {
        let open = gaps(&[(2, 3), (7, 7), (15, 20)]);
        let mut quiet = looked_up(&open);
        quiet.observe(std::iter::once(blocks(742, 1, 9)), &open);
        assert_eq!(quiet.gaps_to_look_up(None, &open), open);
        assert_eq!(quiet.fillers(0), Some(vec![742]));
        let fates = Fates::from([(742, Fate::InProgress)]);
        assert_eq!(quiet.gaps_to_look_up(Some(&fates), &open), gaps(&[(7, 7), (15, 20)]));
    }

    #[test]
    fn what_may_be_filled_by_somebody_without_an_id_is_looked_up_each_time() {
        let open = gaps(&[(2, 3), (7, 7), (15, 20)]);
        let mut quiet = Quiet::default();
        let nameless = (None, Run { first: 6, last: i64::MAX });
        quiet.observe([blocks(742, 1, 9), nameless].into_iter(), &open);
        let fates = Fates::from([(742, Fate::InProgress)]);
        for _ in 0..2 {
            let wanted = quiet.gaps_to_look_up(Some(&fates), &open);
            quiet.looked_up(&wanted, &open);
        }
        assert_eq!(quiet.gaps_to_look_up(Some(&fates), &open), gaps(&[(7, 7), (15, 20)]));
    }

    #[test]
    fn what_is_left_open_after_the_observation_is_loud() {
        let mut quiet = looked_up(&gaps(&[(2, 3)]));
        let open = gaps(&[(2, 3), (30, 40)]);
        let fates = Fates::from([(742, Fate::InProgress)]);
        let wanted = quiet.gaps_to_look_up(Some(&fates), &open);
        assert_eq!(wanted, gaps(&[(30, 40)]));
        quiet.looked_up(&wanted, &open);
        assert_eq!(quiet.gaps_to_look_up(Some(&fates), &open), gaps(&[(30, 40)]));
    }
}
