//! Which numbers of the outbox have been taken: all up to the head, but for the gaps.
//!
//! The head is a number that was taken, or one that the sequence had reached when nothing more was visible: what is far above the last
//! number taken is a gap like any other, so that no look goes through it on the way to the rows of others.

use pgwire_replication::Lsn;

use crate::core::gaps::{Gaps, Run};

/// How far a reader has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    head: i64,
    gaps: Gaps,
    /// Whatever committed before this point of the WAL has been taken. `None` until a WAL feed has been followed.
    passed: Option<Lsn>,
}

/// What taking a number meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The number lay above the head, which it is now; numbers skipped on the way are open gaps.
    Ahead,
    /// The number filled a gap: its transaction committed after a later number was seen.
    Filled,
    /// The number had been taken before, or given up.
    Again,
}

impl Position {
    /// The position of a reader who has taken every number up to `head` but those in `gaps`.
    pub(crate) fn new(head: i64, gaps: Gaps) -> Self {
        Self { head, gaps, passed: None }
    }

    /// The largest number taken or skipped.
    pub(crate) fn head(&self) -> i64 {
        self.head
    }

    /// The largest number that is not open. To go on from here is to go on from the head: what was skipped lies above.
    pub(crate) fn highest(&self) -> i64 {
        let skipped = self.gaps.last().filter(|run| run.last >= self.head);
        skipped.map_or(self.head, |run| run.first - 1)
    }

    /// Whether the number has been taken or given up.
    pub(crate) fn is_done(&self, number: i64) -> bool {
        number <= self.head && !self.gaps.contains(number)
    }

    /// The numbers up to the head that have been neither taken nor given up.
    pub(crate) fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// The point of the WAL before which nothing that committed is missing.
    pub(crate) fn passed(&self) -> Option<Lsn> {
        self.passed
    }

    /// Whatever committed before `lsn` has been taken. The last word counts, not the largest: a slot made again starts anew.
    pub(crate) fn pass(&mut self, lsn: Lsn) {
        self.passed = Some(lsn);
    }

    /// The largest number below which nothing is open.
    pub(crate) fn watermark(&self) -> i64 {
        self.gaps.first().map_or(self.head, |first| first - 1)
    }

    /// Takes one number.
    pub(crate) fn take(&mut self, number: i64) -> Taken {
        if number > self.head {
            if number > self.head + 1 {
                self.gaps.insert(Run { first: self.head + 1, last: number - 1 });
            }
            self.head = number;
            Taken::Ahead
        } else if self.gaps.contains(number) {
            self.gaps.remove(Run { first: number, last: number });
            Taken::Filled
        } else {
            Taken::Again
        }
    }

    /// Moves the head to `number`, and leaves open what has not been taken on the way. All of it must have been drawn.
    pub(crate) fn skip_to(&mut self, number: i64) {
        if number > self.head {
            self.gaps.insert(Run { first: self.head + 1, last: number });
            self.head = number;
        }
    }

    /// Gives up every open number of `run`: no transaction can fill it any more.
    pub(crate) fn give_up(&mut self, run: Run) {
        self.gaps.remove(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_skipped_stays_open_until_it_comes() {
        let mut position = Position::default();
        assert_eq!(position.take(1), Taken::Ahead);
        assert_eq!(position.take(5), Taken::Ahead);
        assert_eq!(position.watermark(), 1);
        assert_eq!(position.take(3), Taken::Filled);
        assert_eq!(position.take(3), Taken::Again);
        assert_eq!(
            position.gaps().iter().collect::<Vec<_>>(),
            [Run { first: 2, last: 2 }, Run { first: 4, last: 4 }]
        );
        position.give_up(Run { first: 2, last: 4 });
        assert_eq!(position.watermark(), 5);
    }

    #[test]
    fn what_is_skipped_is_open_and_need_not_be_told() {
        let mut position = Position::default();
        position.take(2);
        position.skip_to(5);
        assert_eq!((position.head(), position.highest(), position.watermark()), (5, 2, 0));
        position.skip_to(4);
        assert_eq!(position.head(), 5);
        position.take(8);
        assert_eq!(position.highest(), 8);
        position.skip_to(9);
        position.take(9);
        assert_eq!(position.take(4), Taken::Filled);
        let open: Vec<i64> = (1..10).filter(|&number| !position.is_done(number)).collect();
        assert_eq!(open, [1, 3, 5, 6, 7]);
        position.skip_to(12);
        position.give_up(Run { first: 12, last: 12 });
        assert_eq!(position.highest(), 12);
        assert_eq!(Position::default().highest(), 0);
    }
}
