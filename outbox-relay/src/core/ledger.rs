//! What has been read, what of it Kafka has acknowledged, what waits for an operator, and what may be given up.
//!
//! Rows are taken page by page. A page is done when each of its records is acknowledged; when all pages up to it are done, its
//! steps are repeated on the acknowledged state, so that this one is always a state the reader has been in.

use std::collections::VecDeque;

use pgwire_replication::Lsn;

use crate::core::gaps::{Gaps, Run};
use crate::core::holders::{Holder, Holders};
use crate::core::parked::{Parked, ParkedKey};
use crate::core::position::{Position, Taken};
use crate::core::quiet::{Fates, Quiet};

/// How far a reader has come, and which keys he has set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reached {
    /// The numbers.
    pub(crate) position: Position,
    /// The keys.
    pub(crate) parked: Parked,
}

/// What happened to a key within a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyStep {
    topic: String,
    key: String,
    /// Parked so from now on, or flowing again.
    parked: Option<ParkedKey>,
}

/// The steps of one page, to be repeated once it is acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Page {
    taken: Vec<i64>,
    given_up: Vec<Run>,
    /// Up to where nothing more was visible.
    skipped_to: Option<i64>,
    keys: Vec<KeyStep>,
    /// How far the WAL was passed.
    passed: Option<Lsn>,
    bytes: usize,
    oldest_ms: Option<i64>,
    acknowledged: usize,
    closed: bool,
}

impl Page {
    /// Whether it did nothing, unless it passed a point of the WAL.
    fn is_empty(&self) -> bool {
        self.taken.is_empty()
            && self.given_up.is_empty()
            && self.skipped_to.is_none()
            && self.keys.is_empty()
    }
}

/// The state of one source's reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    reading: Reached,
    acknowledged: Reached,
    /// Pages not wholly acknowledged, oldest first; the last one may still be open.
    pages: VecDeque<Page>,
    /// The number of the oldest page.
    first_page: usize,
    records_in_flight: usize,
    bytes_in_flight: usize,
    holders: Holders,
    /// What nobody can fill any more, as of the last observation.
    settled: Gaps,
    /// What need not be looked up while certain transactions are in progress.
    quiet: Quiet,
}

impl Ledger {
    /// Goes on from where everything is known to be acknowledged. Holders are taken anew.
    pub(crate) fn resume(reached: Reached) -> Self {
        Self { reading: reached.clone(), acknowledged: reached, ..Self::default() }
    }

    /// How far the reading has come.
    pub(crate) fn reading(&self) -> &Position {
        &self.reading.position
    }

    /// The keys that wait.
    pub(crate) fn parked(&self) -> &Parked {
        &self.reading.parked
    }

    /// All that has been read: what the progress tells once everything is acknowledged.
    pub(crate) fn read(&self) -> &Reached {
        &self.reading
    }

    /// How far everything has been acknowledged: what the progress may tell now.
    pub(crate) fn acknowledged(&self) -> &Reached {
        &self.acknowledged
    }

    /// Records sent and not acknowledged.
    pub(crate) fn records_in_flight(&self) -> usize {
        self.records_in_flight
    }

    /// Bytes of the pages that are not wholly acknowledged.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.bytes_in_flight
    }

    /// When the oldest row in flight was created, in milliseconds since 1970.
    pub(crate) fn oldest_in_flight_ms(&self) -> Option<i64> {
        self.pages.iter().find_map(|page| page.oldest_ms)
    }

    /// Whether a page and all before it are acknowledged.
    pub(crate) fn is_done(&self, page: usize) -> bool {
        page < self.first_page
    }

    /// Opens the next page and answers its number, by which its records are acknowledged.
    pub(crate) fn begin_page(&mut self) -> usize {
        self.pages.push_back(Page::default());
        self.first_page + self.pages.len() - 1
    }

    /// Takes a row into the open page; says whether it is new. A new one is to be sent or passed.
    pub(crate) fn take(&mut self, number: i64, bytes: usize, created_at_ms: i64) -> bool {
        match self.reading.position.take(number) {
            Taken::Ahead | Taken::Filled => {}
            Taken::Again => return false,
        }
        self.add(number, bytes, created_at_ms);
        true
    }

    /// Takes a row of a key that is about to flow again: it was read past when the key was parked, or has come since. It is to be
    /// sent.
    pub(crate) fn take_held(&mut self, number: i64, bytes: usize, created_at_ms: i64) {
        self.reading.position.take(number);
        self.add(number, bytes, created_at_ms);
    }

    fn add(&mut self, number: i64, bytes: usize, created_at_ms: i64) {
        let page = self.open_page();
        page.taken.push(number);
        page.bytes += bytes;
        page.oldest_ms = Some(page.oldest_ms.unwrap_or(i64::MAX).min(created_at_ms));
        self.records_in_flight += 1;
        self.bytes_in_flight += bytes;
    }

    /// A row taken into the open page is not sent: its key waits.
    pub(crate) fn pass(&mut self) {
        self.open_page().acknowledged += 1;
        self.records_in_flight -= 1;
    }

    /// Sets a key aside from `parked.first` on.
    pub(crate) fn park(&mut self, topic: &str, key: &str, parked: ParkedKey) {
        self.reading.parked.park(topic, key, parked.clone());
        self.key_step(topic, key, Some(parked));
    }

    /// Lets a key flow again, all of its rows up to the head having been taken.
    pub(crate) fn release(&mut self, topic: &str, key: &str) {
        self.reading.parked.release(topic, key);
        self.key_step(topic, key, None);
    }

    fn key_step(&mut self, topic: &str, key: &str, parked: Option<ParkedKey>) {
        let step = KeyStep { topic: topic.to_owned(), key: key.to_owned(), parked };
        self.open_page().keys.push(step);
    }

    fn open_page(&mut self) -> &mut Page {
        self.pages.back_mut().expect("rows are taken between begin_page and end_page")
    }

    /// A look has shown nothing more above the head, and the sequence has come to `number` by now: what has not been taken on the way
    /// is open.
    pub(crate) fn skip_to(&mut self, number: i64) {
        if number > self.reading.position.head() {
            self.reading.position.skip_to(number);
            self.open_page().skipped_to = Some(number);
        }
    }

    /// The transactions of which the next look has to know in its own snapshot what has become, if that spares it looking up so
    /// many numbers.
    pub(crate) fn fillers(&self, numbers: i64) -> Option<Vec<i64>> {
        self.quiet.fillers(numbers)
    }

    /// The open numbers that have to be looked up before anything above the head is read: all, unless it is known what has become of
    /// the fillers.
    pub(crate) fn gaps_to_look_up(&mut self, fates: Option<&Fates>) -> Gaps {
        self.quiet.gaps_to_look_up(fates, self.reading.position.gaps())
    }

    /// These open numbers have been looked up in one snapshot, newer than the last observation, and what was found has been taken:
    /// what the observation had settled and is still missing is given up. So is what it had settled and is still quiet after what was to
    /// be looked up has been told: nobody has filled that before the observation. Answers how many runs.
    pub(crate) fn looked_up(&mut self, numbers: &Gaps) -> usize {
        let open = self.reading.position.gaps();
        self.quiet.looked_up(numbers, open);
        let settled = open.intersection(&self.settled);
        let mut lost = settled.intersection(numbers);
        lost.extend(&settled.intersection(self.quiet.numbers()));
        self.settled = settled.difference(&lost);
        for run in lost.iter() {
            self.reading.position.give_up(run);
            self.open_page().given_up.push(run);
        }
        lost.len()
    }

    /// Whether none of these numbers has to be looked up again as long as nobody who may fill them ends.
    pub(crate) fn is_quiet(&self, numbers: &Gaps) -> bool {
        let open = self.reading.position.gaps().intersection(numbers);
        open.difference(self.quiet.numbers()).is_empty()
    }

    /// What the last observation had settled and is still missing: all of it is to be looked up, as nobody has asked what has become of
    /// the fillers.
    pub(crate) fn settled(&mut self) -> Gaps {
        self.gaps_to_look_up(None).intersection(&self.settled)
    }

    /// Whatever committed before `lsn` has been taken, in the open page at the latest.
    pub(crate) fn passed(&mut self, lsn: Lsn) {
        self.reading.position.pass(lsn);
        self.open_page().passed = Some(lsn);
    }

    /// Closes the open page. One that did nothing is forgotten, or they would pile up behind a record that waits for Kafka; a point
    /// of the WAL that it passed is then passed with the page before it.
    pub(crate) fn end_page(&mut self) {
        let before = self.pages.len().checked_sub(2);
        match self.pages.back_mut() {
            Some(page) if page.is_empty() && page.passed.is_none() => {
                self.pages.pop_back();
            }
            Some(page) if page.is_empty() && before.is_some() => {
                let passed = page.passed;
                self.pages.pop_back();
                if let Some(page) = self.pages.back_mut() {
                    page.passed = passed;
                }
            }
            Some(page) => page.closed = true,
            None => {}
        }
        self.advance();
    }

    /// Takes in the lock's holders, read after the last page's snapshot, and the sequence's last value, read after them.
    pub(crate) fn observe(&mut self, holders: Vec<Holder>, last_value: i64) {
        let position = &self.reading.position;
        self.settled = self.holders.observe(holders, position.head(), last_value, position.gaps());
        self.quiet.observe(self.holders.blocked(), position.gaps());
    }

    /// Whether an observation has settled a gap that is still open, so that the next look gives it up.
    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty() && !self.reading().gaps().intersection(&self.settled).is_empty()
    }

    /// The transactions that keep the oldest gap open, by name.
    pub(crate) fn blocking(&self) -> Vec<String> {
        self.reading().gaps().first().map_or_else(Vec::new, |first| self.holders.blocking(first))
    }

    /// Kafka has acknowledged `records` more records of `page`.
    pub(crate) fn acknowledge(&mut self, page: usize, records: usize) {
        let index = page - self.first_page;
        self.pages[index].acknowledged += records;
        self.records_in_flight -= records;
        self.advance();
    }

    /// Repeats the steps of the pages that are done on the acknowledged state.
    fn advance(&mut self) {
        while self
            .pages
            .front()
            .is_some_and(|page| page.closed && page.acknowledged == page.taken.len())
        {
            let Some(page) = self.pages.pop_front() else { return };
            self.first_page += 1;
            self.bytes_in_flight -= page.bytes;
            for number in page.taken {
                self.acknowledged.position.take(number);
            }
            for run in page.given_up {
                self.acknowledged.position.give_up(run);
            }
            if let Some(number) = page.skipped_to {
                self.acknowledged.position.skip_to(number);
            }
            for KeyStep { topic, key, parked } in page.keys {
                match parked {
                    Some(parked) => self.acknowledged.parked.park(&topic, &key, parked),
                    None => self.acknowledged.parked.release(&topic, &key),
                }
            }
            if let Some(lsn) = page.passed {
                self.acknowledged.position.pass(lsn);
            }
        }
    }
}

#[cfg(test)]
impl Ledger {
    /// Counts the pages from nought again and answers by how much: states that differ in nothing else are the same to a model.
    pub(crate) fn rebase(&mut self) -> usize {
        std::mem::take(&mut self.first_page)
    }

    /// Forgets what is quiet: that costs looks, and nothing else.
    pub(crate) fn forget_quiet(&mut self) {
        self.quiet = Quiet::default();
    }

    /// Takes what was filled by those who are gone for rolled back, which is wrong.
    pub(crate) fn forget_gone(&mut self) {
        self.quiet.forget_gone();
    }

    /// Takes what the last observation is about for quiet without a look, which is wrong.
    pub(crate) fn be_quiet(&mut self) {
        let open = self.reading.position.gaps();
        self.quiet.looked_up(open, open);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

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
        assert_eq!(ledger.acknowledged(), &Reached::default());
        assert_eq!((ledger.records_in_flight(), ledger.bytes_in_flight()), (1, 30));
        ledger.acknowledge(first, 1);
        assert_eq!(ledger.acknowledged(), ledger.read());
        assert_eq!(ledger.acknowledged().position.watermark(), 1);
        assert_eq!((ledger.records_in_flight(), ledger.bytes_in_flight()), (0, 0));
    }

    #[test]
    fn looks_that_find_nothing_do_not_pile_up_behind_a_record_that_waits_for_kafka() {
        let mut ledger = Ledger::default();
        ledger.begin_page();
        ledger.take(1, 10, 0);
        ledger.end_page();
        let before = ledger.clone();
        for _ in 0..3 {
            ledger.begin_page();
            ledger.end_page();
        }
        assert_eq!(ledger, before);
        for lsn in 1..=3 {
            ledger.begin_page();
            ledger.passed(Lsn(lsn));
            ledger.end_page();
        }
        assert_eq!(ledger.pages.len(), 1);
    }

    #[test]
    fn a_settled_gap_that_was_filled_after_all_calls_for_no_other_look() {
        let mut ledger = Ledger::default();
        ledger.begin_page();
        ledger.take(2, 1, 0);
        ledger.end_page();
        ledger.observe(Vec::new(), 2);
        assert!(ledger.has_settled());
        ledger.begin_page();
        ledger.take(1, 1, 0);
        ledger.end_page();
        assert!(!ledger.has_settled());
    }

    #[test]
    fn a_point_of_the_wal_is_acknowledged_with_everything_before_it() {
        let mut ledger = Ledger::default();
        let first = ledger.begin_page();
        ledger.take(1, 10, 0);
        ledger.end_page();
        ledger.begin_page();
        ledger.passed(Lsn(100));
        ledger.end_page();
        let third = ledger.begin_page();
        ledger.take(2, 10, 0);
        ledger.passed(Lsn(200));
        ledger.take(3, 10, 0);
        ledger.end_page();
        ledger.acknowledge(third, 1);
        assert_eq!(ledger.acknowledged().position.passed(), None, "number 1 is not acknowledged");
        ledger.acknowledge(first, 1);
        assert_eq!(ledger.acknowledged().position.passed(), Some(Lsn(100)));
        ledger.acknowledge(third, 1);
        assert_eq!(ledger.acknowledged().position.passed(), Some(Lsn(200)));
    }

    #[test]
    fn a_slot_made_again_counts_from_its_own_start() {
        let mut position = Position::default();
        position.pass(Lsn(500));
        let mut ledger = Ledger::resume(Reached { position, ..Reached::default() });
        ledger.begin_page();
        ledger.passed(Lsn(300));
        ledger.end_page();
        assert_eq!(ledger.acknowledged().position.passed(), Some(Lsn(300)));
    }

    #[test]
    fn a_gap_is_given_up_only_after_a_look_that_follows_the_observation() {
        let mut ledger = Ledger::default();
        ledger.begin_page();
        ledger.take(2, 1, 0);
        ledger.looked_up(&Gaps::default());
        ledger.end_page();
        ledger.observe(Vec::new(), 2);
        assert!(ledger.reading().gaps().contains(1), "it may have committed meanwhile");
        ledger.begin_page();
        let wanted = ledger.gaps_to_look_up(None);
        assert_eq!(ledger.looked_up(&wanted), 1);
        assert!(!ledger.take(1, 1, 0));
    }

    #[test]
    fn what_is_settled_is_given_up_part_by_part_however_quiet_it_was() {
        let holder = Holder {
            id: "3/57".to_owned(),
            transaction_id: Some(742),
            idle_since: None,
            prepared: false,
            name: String::new(),
        };
        let mut ledger = Ledger::default();
        ledger.begin_page();
        ledger.take(9, 1, 0);
        ledger.observe(vec![holder], 9);
        let wanted = ledger.gaps_to_look_up(None);
        assert_eq!(ledger.looked_up(&wanted), 0, "742 may fill them");
        assert!(ledger.is_quiet(&wanted));
        ledger.observe(Vec::new(), 9);
        let mut settled = ledger.settled();
        assert_eq!(settled, wanted);
        let part = settled.split_first(3);
        ledger.looked_up(&part);
        assert_eq!(ledger.reading().gaps(), &settled, "742 may have committed the others");
    }

    #[test]
    fn a_key_is_parked_for_a_successor_only_when_what_was_sent_before_it_is_acknowledged() {
        let parked = ParkedKey {
            first: 2,
            event_id: Uuid::nil(),
            since_ms: 0,
            topic_is_missing: false,
            reason: "no".to_owned(),
        };
        let mut ledger = Ledger::default();
        let page = ledger.begin_page();
        ledger.take(1, 1, 0);
        ledger.take(2, 1, 0);
        ledger.park("orders", "a", parked);
        ledger.pass();
        ledger.end_page();
        assert!(ledger.parked().holds("orders", "a", 3));
        assert_eq!(ledger.acknowledged().parked.len(), 0);
        ledger.acknowledge(page, 1);
        assert_eq!(ledger.acknowledged(), ledger.read());

        let page = ledger.begin_page();
        ledger.take_held(2, 1, 0);
        ledger.release("orders", "a");
        ledger.end_page();
        assert_eq!((ledger.parked().len(), ledger.acknowledged().parked.len()), (0, 1));
        ledger.acknowledge(page, 1);
        assert_eq!(ledger.acknowledged(), ledger.read());
    }
}
