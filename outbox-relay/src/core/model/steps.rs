//! What may happen next.

use crate::core::model::bounds::{Bounds, Delivery, Flaw};
use crate::core::model::relay::{Phase, Relay};
use crate::core::model::table::{Stage, Transaction};
use crate::core::model::world::{Step, World};

impl World {
    /// What the writers may do.
    pub(super) fn writers_steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        let transactions = &self.table.transactions;
        let inserting = |open: &&Transaction| matches!(open.stage, Stage::Inserting { .. });
        let numbers = self.table.rows().count() + transactions.iter().filter(inserting).count();
        let may_insert = numbers < bounds.numbers;
        if may_insert && self.table.begun < bounds.transactions && transactions.len() < bounds.open
        {
            for key in self.keys(bounds).filter(|&key| self.table.locked_by(key).is_none()) {
                steps.extend(bounds.kinds.iter().map(|&kind| Step::Begin { key, kind }));
            }
        }
        for &Transaction { id: transaction, stage, kind, .. } in transactions {
            match stage {
                Stage::Inserting { key } => steps.push(Step::Draw { transaction, key }),
                Stage::Unlocked => steps.push(Step::LockLate { transaction }),
                Stage::Between => {
                    let free =
                        |key: &u8| self.table.locked_by(*key).is_none_or(|by| by == transaction);
                    if may_insert {
                        let keys = self.keys(bounds).filter(free);
                        steps.extend(keys.map(|key| Step::Insert { transaction, key }));
                    }
                    steps.push(Step::End { transaction, commits: false });
                    if !self.table.has_rows(transaction) {
                        continue;
                    }
                    steps.push(Step::End { transaction, commits: true });
                    if bounds.savepoints {
                        steps.push(Step::Undo { transaction });
                    }
                    if kind.two_phase {
                        steps.push(Step::Prepare { transaction });
                    }
                }
                Stage::Prepared => {
                    steps.push(Step::End { transaction, commits: false });
                    steps.push(Step::End { transaction, commits: true });
                }
            }
        }
    }

    /// The keys in use, and one that is not: which one would make no difference.
    fn keys(&self, bounds: &Bounds) -> impl Iterator<Item = u8> + '_ {
        let unused = (0..bounds.keys).find(|&key| !self.table.knows(key));
        (0..bounds.keys).filter(move |&key| Some(key) == unused || self.table.knows(key))
    }

    /// What the relays and Kafka may do.
    pub(super) fn relays_steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        let may_fail = self.failures < bounds.failures;
        for (index, relay) in self.relays.iter().enumerate() {
            relay.turns(index, bounds, steps);
            relay.deliveries(index, self.poison, bounds, steps);
            let outside =
                bounds.delivery == Delivery::AtLeastOnce || bounds.has(Flaw::ProgressOutside);
            if may_fail && outside && relay.has_progress(bounds) {
                steps.push(Step::Save { relay: index });
            }
            if !relay.saving.is_empty() {
                steps.push(Step::WriteProgress { relay: index });
            }
        }
        if bounds.poison {
            self.poison_steps(bounds, steps);
        }
        if may_fail {
            steps.push(Step::Lead);
            if bounds.delivery == Delivery::AtLeastOnce {
                let keys = (0..bounds.keys).filter(|&key| self.leader().next_of(key).is_some());
                steps.extend(
                    keys.flat_map(|key| [false, true].map(|arrived| Step::Fail { key, arrived })),
                );
            }
        }
    }
}

impl World {
    /// One event is refused, however often it is sent, until somebody mends it.
    fn poison_steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        let leader = self.leader();
        if !self.mended {
            let next = (0..bounds.keys).filter_map(|key| leader.next_of(key));
            let refused = next.filter(|number| self.poison.is_none_or(|poison| poison == *number));
            steps.extend(refused.map(|number| Step::Refuse { number }));
        }
        if leader.may_release() {
            steps.push(Step::Retry);
        }
        if leader.releases() && leader.queue.len() < bounds.in_flight {
            steps.push(Step::Release);
        }
    }
}

impl Relay {
    fn turns(&self, relay: usize, bounds: &Bounds, steps: &mut Vec<Step>) {
        let looks = matches!(self.phase, Phase::Look | Phase::Doze);
        let has_room = bounds.in_flight == 0 || self.queue.len() < bounds.in_flight;
        if self.leads && (has_room || !looks) {
            steps.push(Step::Turn { relay, observe: false });
            if looks {
                steps.push(Step::Turn { relay, observe: true });
            }
        }
    }

    /// Record by record in the order of each key, or all at once; but not what Kafka refuses.
    fn deliveries(
        &self,
        relay: usize,
        poison: Option<i64>,
        bounds: &Bounds,
        steps: &mut Vec<Step>,
    ) {
        match bounds.delivery {
            Delivery::AtLeastOnce => {
                let keys = (0..bounds.keys).filter_map(|key| Some((key, self.next_of(key)?)));
                let taken = keys.filter(|&(_, number)| Some(number) != poison);
                steps.extend(taken.map(|(key, _)| Step::Deliver { relay, key }));
            }
            Delivery::ExactlyOnce => {
                if !self.queue.is_empty() && poison.is_none_or(|number| !self.carries(number)) {
                    steps.push(Step::CommitSent { relay });
                }
            }
        }
    }
}
