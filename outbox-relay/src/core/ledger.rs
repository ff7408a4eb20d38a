//! What has been read, what of it Kafka has acknowledged, and what may be given up.
//!
//! Rows are taken page by page. A page is done when each of its records is acknowledged; when all pages up to it are done, its
//! steps are repeated on the acknowledged position, so that this one is always a position the reader has been at.

use std::collections::VecDeque;

use crate::core::gaps::{Gaps, Run};
use crate::core::holders::{Holder, Holders};
use crate::core::position::{Position, Taken};

/// The steps of one page, to be repeated once it is acknowledged.
#[derive(Debug, Default)]
struct Page {
    taken: Vec<i64>,
    given_up: Vec<Run>,
    bytes: usize,
    oldest_ms: Option<i64>,
    acknowledged: usize,
    closed: bool,
}

/// The state of one source's reading.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    reading: Position,
    acknowledged: Position,
    /// Pages not wholly acknowledged, oldest first; the last one may still be open.
    pages: VecDeque<Page>,
    /// The number of the oldest page.
    first_page: usize,
    holders: Holders,
    /// What nobody can fill any more, as of the last observation.
    settled: Gaps,
}

impl Ledger {
    /// Goes on from where everything is known to be acknowledged. Holders are taken anew.
    pub(crate) fn resume(position: Position) -> Self {
        Self { reading: position.clone(), acknowledged: position, ..Self::default() }
    }

    /// How far the reading has come.
    pub(crate) fn reading(&self) -> &Position {
        &self.reading
    }

    /// How far everything has been acknowledged: what the progress record tells.
    pub(crate) fn acknowledged(&self) -> &Position {
        &self.acknowledged
    }

    /// Records sent and not acknowledged.
    pub(crate) fn records_in_flight(&self) -> usize {
        self.pages.iter().map(|page| page.taken.len() - page.acknowledged).sum()
    }

    /// Bytes of the pages that are not wholly acknowledged.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.pages.iter().map(|page| page.bytes).sum()
    }

    /// When the oldest row in flight was created, in milliseconds since 1970.
    pub(crate) fn oldest_in_flight_ms(&self) -> Option<i64> {
        self.pages.iter().find_map(|page| page.oldest_ms)
    }

    /// Opens the next page and answers its number, by which its records are acknowledged.
    pub(crate) fn begin_page(&mut self) -> usize {
        self.pages.push_back(Page::default());
        self.first_page + self.pages.len() - 1
    }

    /// Takes a row into the open page; says whether it is to be sent.
    pub(crate) fn take(&mut self, number: i64, bytes: usize, created_at_ms: i64) -> bool {
        match self.reading.take(number) {
            Taken::Ahead | Taken::Filled => {}
            Taken::Again => return false,
        }
        let page = self.pages.back_mut().expect("rows are taken between begin_page and end_page");
        page.taken.push(number);
        page.bytes += bytes;
        page.oldest_ms = Some(page.oldest_ms.unwrap_or(i64::MAX).min(created_at_ms));
        true
    }

    /// Every open gap has been looked up in one snapshot, newer than the last observation, and what was found has been taken: what
    /// the observation had settled and is still missing is given up. Answers how many runs.
    pub(crate) fn looked_up(&mut self) -> usize {
        let settled = std::mem::take(&mut self.settled);
        let lost = self.reading.gaps().intersection(&settled);
        let page = self.pages.back_mut().expect("gaps are looked up within a page");
        for run in lost.iter() {
            self.reading.give_up(run);
            page.given_up.push(run);
        }
        lost.len()
    }

    /// Closes the open page.
    pub(crate) fn end_page(&mut self) {
        if let Some(page) = self.pages.back_mut() {
            page.closed = true;
        }
        self.advance();
    }

    /// Takes in the lock's holders, read after the last page's snapshot, and the sequence's last value, read after them.
    pub(crate) fn observe(&mut self, holders: Vec<Holder>, last_value: i64) {
        let head = self.reading.head();
        self.settled = self.holders.observe(holders, head, last_value, self.reading.gaps());
    }

    /// Whether an observation has settled a gap, so that the next look gives it up.
    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// The transactions that keep the oldest gap open, by name.
    pub(crate) fn blocking(&self) -> Vec<String> {
        self.reading.gaps().first().map_or_else(Vec::new, |first| self.holders.blocking(first))
    }

    /// Kafka has acknowledged `records` more records of `page`.
    pub(crate) fn acknowledge(&mut self, page: usize, records: usize) {
        let index = page - self.first_page;
        self.pages[index].acknowledged += records;
        self.advance();
    }

    /// Repeats the steps of the pages that are done on the acknowledged position.
    fn advance(&mut self) {
        while self
            .pages
            .front()
            .is_some_and(|page| page.closed && page.acknowledged == page.taken.len())
        {
            let Some(page) = self.pages.pop_front() else { return };
            self.first_page += 1;
            for number in page.taken {
                self.acknowledged.take(number);
            }
            for run in page.given_up {
                self.acknowledged.give_up(run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_acknowledged_position_never_passes_an_unacknowledged_record() {
        let mut ledger = Ledger::default();
        let first = ledger.begin_page();
        assert!(ledger.take(1, 10, 0));
        assert!(ledger.take(3, 10, 0));
        ledger.end_page();
        let second = ledger.begin_page();
        assert!(ledger.take(4, 10, 0));
        ledger.end_page();
        ledger.acknowledge(second, 1);
        ledger.acknowledge(first, 1);
        assert_eq!(ledger.acknowledged(), &Position::default());
        assert_eq!((ledger.records_in_flight(), ledger.bytes_in_flight()), (1, 30));
        ledger.acknowledge(first, 1);
        assert_eq!(ledger.acknowledged(), ledger.reading());
        assert_eq!(ledger.acknowledged().watermark(), 1);
    }

    #[test]
    fn a_gap_is_given_up_only_after_a_look_that_follows_the_observation() {
        let mut ledger = Ledger::default();
        ledger.begin_page();
        ledger.take(2, 1, 0);
        ledger.looked_up();
        ledger.end_page();
        ledger.observe(Vec::new(), 2);
        assert!(ledger.reading().gaps().contains(1), "it may have committed meanwhile");
        ledger.begin_page();
        assert_eq!(ledger.looked_up(), 1);
        assert!(!ledger.take(1, 1, 0));
    }
}
