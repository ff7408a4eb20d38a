//! The state of the model, and what each step does to it.

use crate::core::model::bounds::{Bounds, Delivery, Flaw};
use crate::core::model::relay::Relay;
use crate::core::model::table::{Kind, Stage, Table};
use crate::core::progress::Records;

/// One step of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A transaction begins, locks a key's aggregate and starts to insert.
    Begin { key: u8, kind: Kind },
    /// Another row of an open transaction.
    Insert { transaction: u8, key: u8 },
    /// The row's number is drawn, and the row inserted.
    Draw { transaction: u8, key: u8 },
    /// Only where writers are broken: the lock that should have been there before.
    LockLate { transaction: u8 },
    /// Back to the savepoint before the last row.
    Undo { transaction: u8 },
    /// The transaction outlives its session.
    Prepare { transaction: u8 },
    /// It ends.
    End { transaction: u8, commits: bool },
    /// The loop of the relay goes on. With `observe`, a look is followed by one at the holders.
    Turn { relay: usize, observe: bool },
    /// The key's next record is appended to Kafka's log, and acknowledged.
    Deliver { relay: usize, key: u8 },
    /// The relay sends its progress.
    Save { relay: usize },
    /// The next progress record is appended.
    WriteProgress { relay: usize },
    /// All that was sent is committed, with the progress.
    CommitSent { relay: usize },
    /// The producer fails, and nobody knows whether the key's next record has arrived.
    Fail { key: u8, arrived: bool },
    /// Kafka refuses a record for good.
    Refuse { number: i64 },
    /// An operator mends it and lets the key flow again; whoever leads takes the command up.
    Retry,
    /// The leader sends what waits of the parked key.
    Release,
    /// Another relay begins to lead: the former one has been killed, or goes on with what it had queued.
    Lead,
}

/// Everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) table: Table,
    /// The leader, and after it those that have led and may not be dead.
    pub(super) relays: Vec<Relay>,
    /// The numbers that a consumer sees on Kafka. Those of one key came in their order, since an earlier state lacked the later one.
    pub(super) published: Vec<i64>,
    /// The progress topic, compacted.
    pub(super) progress: Records,
    /// Producers begun, but for the first.
    producers: u8,
    /// Failures of the producer and changes of the leader so far.
    pub(super) failures: u8,
    /// The number that Kafka refuses.
    pub(super) poison: Option<i64>,
    /// It was refused, and is no more.
    pub(super) mended: bool,
    /// A record came twice where it must not.
    pub(super) twice: bool,
    /// A relay has read and sent although another leads.
    pub(super) trespassed: bool,
}

impl World {
    /// An empty table with a relay that leads.
    pub(super) fn new(bounds: &Bounds) -> Self {
        let relays = vec![Relay::lead(&Records::new(), 0, bounds)];
        Self { relays, ..Self::default() }
    }

    /// The relay that leads.
    pub(super) fn leader(&self) -> &Relay {
        &self.relays[0]
    }

    /// The world after a step.
    pub(super) fn after(mut self, step: Step, bounds: &Bounds) -> Self {
        match step {
            Step::Begin { key, kind } => {
                let transaction = self.table.begin(kind);
                self.insert(transaction, key, bounds);
            }
            Step::Insert { transaction, key } => self.insert(transaction, key, bounds),
            Step::Draw { transaction, key } => self.draw(transaction, key, Stage::Between),
            Step::LockLate { transaction } => self.table.enter(transaction, Stage::Between),
            Step::Undo { transaction } => self.table.undo(transaction),
            Step::Prepare { transaction } => self.table.enter(transaction, Stage::Prepared),
            Step::End { transaction, commits } => self.end(transaction, commits),
            Step::Turn { relay, observe } => self.turn(relay, observe, bounds),
            Step::Deliver { relay, key } => self.deliver(relay, key, bounds),
            Step::Save { relay } => self.relays[relay].save(bounds),
            Step::WriteProgress { relay } => self.write_progress(relay),
            Step::CommitSent { relay } => self.commit_sent(relay, bounds),
            Step::Fail { key, arrived } => self.fail(key, arrived, bounds),
            Step::Refuse { number } => {
                self.poison = Some(number);
                self.producers += 1;
                self.relays[0].refused(number, &self.progress, self.producers, bounds);
            }
            Step::Retry => {
                self.poison = None;
                self.mended = true;
                self.relays[0].retry();
            }
            Step::Release => self.relays[0].release(&self.table, bounds),
            Step::Lead => self.lead(bounds),
        }
        self.normalised(bounds)
    }

    /// States that differ in nothing that matters are made equal.
    fn normalised(mut self, bounds: &Bounds) -> Self {
        self.relays.iter_mut().for_each(|relay| relay.normalise(bounds));
        let fillers: Vec<i64> = self.leader().ledger.fillers(0).unwrap_or_default();
        self.table.forget_rolled_back(&fillers);
        // Nobody will read it.
        if self.failures == bounds.failures && (self.mended || !bounds.poison) {
            self.progress.clear();
            self.relays.iter_mut().for_each(Relay::forget_progress);
        }
        let mut first = true;
        self.relays.retain(|relay| std::mem::take(&mut first) || relay.goes_on());
        self
    }

    fn insert(&mut self, transaction: u8, key: u8, bounds: &Bounds) {
        if bounds.has(Flaw::NumberBeforeLock) {
            self.draw(transaction, key, Stage::Unlocked);
        } else {
            self.table.enter(transaction, Stage::Inserting { key });
        }
    }

    fn draw(&mut self, transaction: u8, key: u8, stage: Stage) {
        self.table.draw(transaction, key, self.leader().asleep);
        self.table.enter(transaction, stage);
    }

    fn end(&mut self, transaction: u8, commits: bool) {
        let notifies = commits && self.table.notifies(transaction);
        self.table.end(transaction, commits);
        self.relays[0].notified |= notifies;
    }

    fn turn(&mut self, index: usize, observe: bool, bounds: &Bounds) {
        let relay = &mut self.relays[index];
        let sent = relay.queue.len();
        relay.turn(&self.table, observe, bounds);
        self.trespassed |= index > 0 && relay.queue.len() > sent;
        if bounds.in_flight == 0 {
            while let Some(sent) = self.relays[index].queue.first() {
                self.deliver(index, sent.key, bounds);
            }
        }
    }

    fn deliver(&mut self, relay: usize, key: u8, bounds: &Bounds) {
        let number = self.relays[relay].deliver(key);
        self.publish(number, bounds);
    }

    fn publish(&mut self, number: i64, bounds: &Bounds) {
        match self.published.binary_search(&number) {
            Ok(_) => {
                let refused = self.poison.is_some() || self.mended;
                let may_repeat =
                    bounds.delivery == Delivery::AtLeastOnce && (self.failures > 0 || refused);
                self.twice |= !may_repeat;
            }
            Err(place) => self.published.insert(place, number),
        }
    }

    fn write_progress(&mut self, relay: usize) {
        let change = self.relays[relay].saving.pop_front();
        match change.expect("something is on its way") {
            (key, Some(value)) => self.progress.insert(key, value),
            (key, None) => self.progress.remove(&key),
        };
    }

    fn commit_sent(&mut self, index: usize, bounds: &Bounds) {
        while let Some(sent) = self.relays[index].queue.first() {
            self.deliver(index, sent.key, bounds);
        }
        if !bounds.has(Flaw::ProgressOutside) {
            self.progress = self.relays[index].progress(bounds);
        }
    }

    fn fail(&mut self, key: u8, arrived: bool, bounds: &Bounds) {
        self.failures += 1;
        if bounds.has(Flaw::FollowersSent) {
            return self.relays[0].send_again(key);
        }
        if arrived {
            let next = self.leader().queue.iter().find(|sent| sent.key == key);
            self.publish(next.expect("something is on its way").number, bounds);
        }
        self.producers += 1;
        self.relays[0].start_over(&self.progress, self.producers, bounds);
    }

    /// The former leader's session ends, and with it what it knows; Kafka refuses whom it has fenced.
    fn lead(&mut self, bounds: &Bounds) {
        self.failures += 1;
        if !bounds.has(Flaw::LeadsWithoutLock) {
            self.relays[0].lose_session(bounds);
        }
        if bounds.delivery == Delivery::ExactlyOnce && !bounds.has(Flaw::Unfenced) {
            self.relays.clear();
        }
        self.producers += 1;
        self.relays.insert(0, Relay::lead(&self.progress, self.producers, bounds));
    }

    /// The world after every open transaction has ended, one of them by rolling back, and nobody begins another.
    pub(super) fn ended(mut self, bounds: &Bounds) -> Self {
        for (index, open) in self.table.transactions.clone().iter().enumerate() {
            self = self.after(Step::End { transaction: open.id, commits: index != 1 }, bounds);
        }
        self
    }

    /// Whether the number stands on Kafka.
    pub(super) fn is_published(&self, number: i64) -> bool {
        self.published.binary_search(&number).is_ok()
    }
}
