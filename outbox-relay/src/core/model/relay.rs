//! A relay of the model: the steps of the leader's loop around the real [`Ledger`] and [`Progress`], one statement or message each.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::core::holders::Holder;
use crate::core::ledger::{Ledger, Reached};
use crate::core::model::bounds::{Bounds, Delivery, Flaw};
use crate::core::model::table::Table;
use crate::core::parked::{Parked, ParkedKey};
use crate::core::progress::{Identity, Progress, Records, Term, changes};
use crate::core::quiet::{Fate, Fates};

/// The name under which the progress is kept.
const SOURCE: &str = "main";

/// The topic of every row.
const TOPIC: &str = "events";

/// The one table there is.
const IDENTITY: Identity = Identity { system: 1, timeline: 1, database: 1, epoch: Uuid::nil() };

/// Where the leader's loop is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// About to look, in a new snapshot.
    Look,
    /// Only where the page is read before the gaps: about to look the gaps up.
    LookUp,
    /// About to read the sequence, and to leave open what was not shown above the head; then to read the holders, perhaps.
    LeaveOpen { observe: bool },
    /// About to read the holders.
    ReadHolders,
    /// About to read the sequence.
    ReadSequence(Vec<Holder>),
    /// About to decide whether to rest.
    Rest,
    /// About to try the advisory lock.
    TrySleep,
    /// A writer is in flight: it looks again soon.
    Doze,
    /// Asleep until notified, or until the fallback poll.
    Sleep,
}

/// A record handed to the producer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sent {
    pub(super) page: usize,
    pub(super) number: i64,
    pub(super) key: u8,
}

/// A change of a progress record.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

/// One process that leads, or has led.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Relay {
    pub(super) ledger: Ledger,
    pub(super) phase: Phase,
    /// What the last look found: rows, and more than fit into a page.
    found: (bool, bool),
    /// Up to where it has shown all that there is above the head.
    end: Option<i64>,
    /// Only where it is asked before the snapshot what has become of those who may fill gaps.
    asked: Option<Fates>,
    /// Its last look showed a committed row that it has neither taken nor kept for its next page.
    pub(super) leaves_behind: bool,
    /// It holds the advisory lock, so that writers notify.
    pub(super) asleep: bool,
    /// A notification has come and not been taken.
    pub(super) notified: bool,
    /// The event that it knows to be refused.
    culprit: Option<i64>,
    /// An operator wants a parked key to flow again.
    releasing: bool,
    /// Its session lives, and with it its right to read.
    pub(super) leads: bool,
    /// Handed to the producer and not acknowledged, in that order.
    pub(super) queue: Vec<Sent>,
    /// Under whose name it keeps the progress.
    term: Term,
    /// The progress records as it believes them to stand on Kafka.
    believed: Records,
    /// Progress records on their way.
    pub(super) saving: VecDeque<Change>,
}

impl Relay {
    /// Begins to lead, from the progress as it stands on Kafka.
    pub(super) fn lead(progress: &Records, owner: u8, bounds: &Bounds) -> Self {
        Self {
            term: term(progress, owner, bounds),
            ledger: Ledger::resume(kept(progress)),
            phase: Phase::Look,
            found: (false, false),
            end: None,
            asked: None,
            leaves_behind: false,
            asleep: false,
            notified: false,
            culprit: None,
            releasing: false,
            leads: true,
            queue: Vec::new(),
            believed: progress.clone(),
            saving: VecDeque::new(),
        }
    }

    /// The next statement of the leader's loop.
    pub(super) fn turn(&mut self, table: &Table, observe: bool, bounds: &Bounds) {
        match self.phase.clone() {
            Phase::Look | Phase::Doze if bounds.has(Flaw::HoldersBeforeSnapshot) => {
                self.read_holders(table, bounds);
            }
            Phase::Look | Phase::Doze => self.look(table, bounds, observe),
            Phase::LookUp => self.look_up(table, bounds),
            Phase::LeaveOpen { observe } => self.leave_open(table, observe, bounds),
            Phase::ReadHolders => self.read_holders(table, bounds),
            Phase::ReadSequence(holders) => self.read_sequence(holders, table, bounds),
            Phase::Rest => self.rest(bounds),
            Phase::TrySleep => self.try_sleep(table, bounds),
            Phase::Sleep => self.wake(),
        }
    }

    /// Looks the gaps up, and, unless they fill a page, reads on above the head, in one snapshot.
    ///
    /// With `observe` it goes on to read the holders; where it has found nothing it does so in any case.
    fn look(&mut self, table: &Table, bounds: &Bounds, observe: bool) {
        let page = self.ledger.begin_page();
        let filled = if bounds.has(Flaw::PageBeforeGaps) {
            (0, false)
        } else {
            self.fill(page, table, bounds.page_rows, bounds)
        };
        let waits = bounds.has(Flaw::WaitsForGaps) && self.has_gaps();
        self.end = None;
        let (rows, more) = if filled.1 || waits {
            filled
        } else {
            let head = self.ledger.reading().head();
            let found = table.page(head, head + bounds.large().reach, bounds.page_rows);
            let more = found.len() >= bounds.page_rows;
            self.end = (!more).then_some(head + bounds.large().reach);
            (filled.0 + self.take(page, &found, bounds), more)
        };
        self.ledger.end_page();
        if bounds.has(Flaw::CursorOnly) {
            self.ledger.observe(Vec::new(), table.last_value());
            self.give_up();
        }
        self.found = (rows > 0, more);
        self.leaves_behind = !more && table.committed().any(|(number, _)| !self.has_read(number));
        self.phase = if bounds.has(Flaw::PageBeforeGaps) {
            Phase::LookUp
        } else if bounds.large.is_some() {
            Phase::LeaveOpen { observe: observe || rows == 0 }
        } else {
            self.after_look(observe || rows == 0)
        };
    }

    fn after_look(&self, observe: bool) -> Phase {
        if observe && self.has_gaps() { Phase::ReadHolders } else { Phase::Rest }
    }

    /// Sends what has come in the gaps, and gives up what has not and cannot. Says how much, and whether there may be more.
    fn fill(&mut self, page: usize, table: &Table, limit: usize, bounds: &Bounds) -> (usize, bool) {
        if !self.has_gaps() {
            return (0, false);
        }
        let fates = self.fates(table, bounds);
        let mut left = self.ledger.gaps_to_look_up(fates.as_ref());
        let mut rows = 0;
        loop {
            let part = left.split_first(bounds.large().reach);
            let found = table.look_up(&part, limit);
            rows += self.take(page, &found, bounds);
            if found.len() >= limit {
                return (rows, true);
            }
            self.ledger.looked_up(&part);
            if left.is_empty() {
                return (rows, false);
            }
            if self.ledger.is_quiet(&part) {
                return (rows, true);
            }
        }
    }

    /// What has become of those who may fill gaps.
    fn fates(&mut self, table: &Table, bounds: &Bounds) -> Option<Fates> {
        if bounds.has(Flaw::AskedBeforeSnapshot) {
            return self.asked.take();
        }
        let fillers = self.ledger.fillers(bounds.large().worthwhile)?;
        Some(match bounds.has(Flaw::NobodyAsked) {
            true => fillers.into_iter().map(|id| (id, Fate::InProgress)).collect(),
            false => table.fates(&fillers),
        })
    }

    /// Looks the gaps up in a snapshot of its own, which is wrong.
    fn look_up(&mut self, table: &Table, bounds: &Bounds) {
        let page = self.ledger.begin_page();
        self.fill(page, table, usize::MAX, bounds);
        self.ledger.end_page();
        self.phase = if self.has_gaps() { Phase::ReadHolders } else { Phase::Rest };
    }

    fn take(&mut self, page: usize, found: &[(i64, u8)], bounds: &Bounds) -> usize {
        let mut rows = 0;
        for &(number, key) in found {
            if self.ledger.take(number, 1, 0) {
                self.send(page, number, key, bounds);
                rows += 1;
            }
        }
        rows
    }

    /// Hands a row over that was just taken, or passes it because its key waits.
    fn send(&mut self, page: usize, number: i64, key: u8, bounds: &Bounds) {
        let is_culprit = self.culprit == Some(number);
        if is_culprit {
            self.ledger.park(TOPIC, &key.to_string(), parked_from(number));
        }
        let passes = bounds.has(Flaw::FollowersNotParked) && !is_culprit;
        if waits(self.ledger.parked(), key, number) && !passes {
            self.ledger.pass();
        } else {
            self.queue.push(Sent { page, number, key });
        }
    }

    /// Sends what waits of the parked key, as much as fills a page.
    pub(super) fn release(&mut self, table: &Table, bounds: &Bounds) {
        let parked = self.ledger.parked().iter().next();
        let Some((_, name, &ParkedKey { first, .. })) = parked else {
            self.releasing = false;
            return;
        };
        let key: u8 = name.parse().expect("keys are numbers");
        let head = self.ledger.reading().head();
        let rows = match bounds.has(Flaw::ReleasedAtOnce) {
            false => table.held(key, first, head, bounds.page_rows),
            true => Vec::new(),
        };
        let is_cut = rows.len() >= bounds.page_rows;
        let read_to = rows.last().copied().filter(|_| is_cut).unwrap_or(head);
        let page = self.ledger.begin_page();
        self.ledger.release(TOPIC, &key.to_string());
        for number in rows {
            self.ledger.take_held(number, 1, 0);
            self.send(page, number, key, bounds);
        }
        if read_to < head {
            self.ledger.park(TOPIC, &key.to_string(), parked_from(read_to + 1));
        }
        self.ledger.end_page();
        self.releasing = read_to < head;
    }

    /// Reads who may still fill a gap.
    fn read_holders(&mut self, table: &Table, bounds: &Bounds) {
        let ignored = bounds.has(Flaw::HoldersIgnored);
        self.phase = Phase::ReadSequence(if ignored { Vec::new() } else { table.holders() });
    }

    /// Reads the sequence, and takes the observation in.
    fn read_sequence(&mut self, holders: Vec<Holder>, table: &Table, bounds: &Bounds) {
        if bounds.has(Flaw::HoldersBeforeSnapshot) {
            self.look(table, bounds, false);
        }
        self.ledger.observe(holders, table.last_value());
        if bounds.has(Flaw::NoLaterLook) {
            self.give_up();
        }
        if bounds.has(Flaw::QuietAtOnce) {
            self.ledger.be_quiet();
        }
        if bounds.has(Flaw::GoneForgotten) {
            self.ledger.forget_gone();
        }
        self.phase = Phase::Rest;
    }

    /// Reads the sequence, and leaves open what the last look has not shown above the head.
    fn leave_open(&mut self, table: &Table, observe: bool, bounds: &Bounds) {
        if let Some(end) = self.end.take() {
            self.skip(end, table, bounds);
        }
        if bounds.has(Flaw::AskedBeforeSnapshot) {
            self.asked =
                self.ledger.fillers(bounds.large().worthwhile).map(|fillers| table.fates(&fillers));
        }
        self.phase = self.after_look(observe);
    }

    fn skip(&mut self, end: i64, table: &Table, bounds: &Bounds) {
        let undrawn = i64::from(bounds.has(Flaw::SkipsUndrawn));
        let (last_value, head) = (table.last_value() + undrawn, self.ledger.reading().head());
        self.found.1 = last_value > end;
        if self.found.1 || last_value - head > bounds.large().far {
            self.ledger.begin_page();
            self.ledger.skip_to(last_value.min(end));
            self.ledger.end_page();
        }
    }

    /// Gives up what is settled without having looked, which is wrong.
    fn give_up(&mut self) {
        self.ledger.begin_page();
        let settled = self.ledger.settled();
        self.ledger.looked_up(&settled);
        self.ledger.end_page();
    }

    /// Wakes up if there was anything, and decides whether to look again at once.
    fn rest(&mut self, bounds: &Bounds) {
        let (rows, more) = self.found;
        if rows || more {
            self.asleep = false;
        }
        self.phase = if more || self.ledger.has_settled() || self.releasing {
            Phase::Look
        } else if self.asleep {
            Phase::Sleep
        } else if bounds.sleeps {
            Phase::TrySleep
        } else {
            Phase::Doze
        };
    }

    /// Tries the advisory lock, and looks once more if it is granted.
    fn try_sleep(&mut self, table: &Table, bounds: &Bounds) {
        self.asleep = !table.announces();
        self.phase = match self.asleep {
            false => Phase::Doze,
            true if bounds.has(Flaw::NoSecondLook) => Phase::Sleep,
            true => Phase::Look,
        };
    }

    /// Takes what has been notified, and looks.
    fn wake(&mut self) {
        self.notified = false;
        self.phase = Phase::Look;
    }

    /// The key's next record arrives, and is acknowledged. Answers its number.
    pub(super) fn deliver(&mut self, key: u8) -> i64 {
        let next = self.queue.iter().position(|sent| sent.key == key);
        let sent = self.queue.remove(next.expect("something is on its way"));
        if self.leads {
            self.ledger.acknowledge(sent.page, 1);
        }
        sent.number
    }

    /// The progress records that tell what is acknowledged.
    pub(super) fn progress(&self, bounds: &Bounds) -> Records {
        let reached = if bounds.has(Flaw::ProgressOfReading) {
            self.ledger.read()
        } else {
            self.ledger.acknowledged()
        };
        Progress { identity: IDENTITY, reached: reached.clone() }.encode(SOURCE, self.term)
    }

    /// Whether the progress records are out of date.
    pub(super) fn has_progress(&self, bounds: &Bounds) -> bool {
        self.saving.is_empty() && self.believed != self.progress(bounds)
    }

    /// Sends what has changed of the progress records.
    pub(super) fn save(&mut self, bounds: &Bounds) {
        let progress = self.progress(bounds);
        self.saving = changes(SOURCE, &self.believed, &progress)
            .into_iter()
            .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
            .collect();
        self.believed = progress;
    }

    /// The key's next record has failed, and is sent again behind the others, which is wrong.
    pub(super) fn send_again(&mut self, key: u8) {
        let failed = self.queue.iter().position(|sent| sent.key == key);
        let failed = self.queue.remove(failed.expect("something is on its way"));
        self.queue.push(failed);
    }

    /// The producer has failed, and what was queued is gone. A new one goes on: exactly once from the progress, at least once from
    /// what is acknowledged, and all of the progress is written again.
    pub(super) fn start_over(&mut self, progress: &Records, owner: u8, bounds: &Bounds) {
        let mut next = Self::lead(progress, owner, bounds);
        if bounds.delivery == Delivery::AtLeastOnce {
            next.ledger = Ledger::resume(self.ledger.acknowledged().clone());
            next.term = term(&self.believed, owner, bounds);
            next.believed = std::mem::take(&mut self.believed);
        }
        *self = Self { culprit: self.culprit, notified: self.notified, ..next };
    }

    /// Kafka refuses the next record of its key for good, and all that is queued with it.
    pub(super) fn refused(&mut self, number: i64, progress: &Records, owner: u8, bounds: &Bounds) {
        self.start_over(progress, owner, bounds);
        self.culprit = Some(number);
    }

    /// Whether the reading has passed the number.
    pub(super) fn has_read(&self, number: i64) -> bool {
        self.ledger.reading().is_done(number)
    }

    /// Whether there is a parked key that nobody lets flow yet.
    pub(super) fn may_release(&self) -> bool {
        self.ledger.parked().len() > 0 && !self.releasing
    }

    /// An operator has mended what was refused.
    pub(super) fn retry(&mut self) {
        self.culprit = None;
        self.releasing = true;
    }

    /// Whether it is about to send what waits.
    pub(super) fn releases(&self) -> bool {
        self.releasing && matches!(self.phase, Phase::Look | Phase::Doze)
    }

    /// Whether the number is on its way to Kafka.
    pub(super) fn carries(&self, number: i64) -> bool {
        self.queue.iter().any(|sent| sent.number == number)
    }

    /// The key's next record on its way to Kafka.
    pub(super) fn next_of(&self, key: u8) -> Option<i64> {
        self.queue.iter().find(|sent| sent.key == key).map(|sent| sent.number)
    }

    /// Whether it looks no more until some time has passed or somebody calls.
    pub(super) fn pauses(&self) -> bool {
        matches!(self.phase, Phase::Doze | Phase::Sleep)
    }

    fn has_gaps(&self) -> bool {
        !self.ledger.reading().gaps().is_empty()
    }

    /// Its session has been ended: what it had handed to the producer is all that is left of it.
    pub(super) fn lose_session(&mut self, bounds: &Bounds) {
        let (queue, saving) = (std::mem::take(&mut self.queue), std::mem::take(&mut self.saving));
        *self = Self { leads: false, queue, saving, ..Self::lead(&Records::new(), 0, bounds) };
    }

    /// Whether anything may still come from it.
    pub(super) fn goes_on(&self) -> bool {
        self.leads || !self.queue.is_empty() || !self.saving.is_empty()
    }

    /// Its progress is of no use any more.
    pub(super) fn forget_progress(&mut self) {
        self.believed.clear();
        self.saving.clear();
    }

    /// Forgets what nobody will ask for, and counts pages from nought again, so that equal states compare equal.
    pub(super) fn normalise(&mut self, bounds: &Bounds) {
        if bounds.large.is_none() {
            self.end = None;
            self.ledger.forget_quiet();
        }
        let pages = self.ledger.rebase();
        for sent in &mut self.queue {
            sent.page = sent.page.saturating_sub(pages);
        }
    }
}

/// The term of one who goes on from these records.
fn term(records: &Records, owner: u8, bounds: &Bounds) -> Term {
    match bounds.has(Flaw::OneTerm) {
        true => Term::after(SOURCE, &Records::new(), Uuid::nil()),
        false => Term::after(SOURCE, records, Uuid::from_u128(owner.into())),
    }
}

/// Whether the row waits for its key.
pub(super) fn waits(parked: &Parked, key: u8, number: i64) -> bool {
    parked.len() > 0 && parked.holds(TOPIC, &key.to_string(), number)
}

/// Whether somebody who goes on from here comes to the row, now or when its key is released.
pub(super) fn will_come(reached: &Reached, key: u8, number: i64) -> bool {
    let Reached { position, parked } = reached;
    !position.is_done(number) || waits(parked, key, number)
}

/// What the progress records tell.
pub(super) fn kept(progress: &Records) -> Reached {
    let progress = Progress::decode(SOURCE, progress).expect("they are ours");
    progress.map_or_else(Reached::default, |progress| progress.reached)
}

fn parked_from(first: i64) -> ParkedKey {
    let (event_id, since_ms, reason) = (Uuid::nil(), 0, String::new());
    ParkedKey { first, event_id, since_ms, topic_is_missing: false, reason }
}
