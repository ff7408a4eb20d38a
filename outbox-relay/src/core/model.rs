//! A model of the table, its writers and Kafka, against which the algorithm is tried with random schedules.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use crate::core::holders::Holder;
use crate::core::ledger::Ledger;

/// One step of the world. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// A writer locks a key (unless another has it), draws a number and inserts a row.
    Insert {
        writer: usize,
        key: u8,
    },
    Commit {
        writer: usize,
    },
    RollBack {
        writer: usize,
    },
    Prepare {
        writer: usize,
    },
    /// The relay looks its gaps up and, when none is left over, reads a page.
    Look {
        limit: usize,
    },
    /// The relay reads who holds the table's lock …
    ReadHolders,
    /// … and then the sequence.
    ReadSequence,
    Acknowledge {
        page: usize,
    },
    /// The producer fails: on from what is acknowledged.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let writer = 0_usize..4;
    prop_oneof![
        8 => (writer.clone(), 0_u8..4).prop_map(|(writer, key)| Step::Insert { writer, key }),
        3 => writer.clone().prop_map(|writer| Step::Commit { writer }),
        2 => writer.clone().prop_map(|writer| Step::RollBack { writer }),
        1 => writer.prop_map(|writer| Step::Prepare { writer }),
        6 => (1_usize..5).prop_map(|limit| Step::Look { limit }),
        4 => Just(Step::ReadHolders),
        4 => Just(Step::ReadSequence),
        3 => (0_usize..8).prop_map(|page| Step::Acknowledge { page }),
    ]
}

#[derive(Clone, Debug, Default)]
struct Transaction {
    id: String,
    rows: Vec<(i64, u8)>,
    moves: usize,
    prepared: bool,
}

#[derive(Default)]
struct World {
    sequence: i64,
    transactions: usize,
    open: Vec<Transaction>,
    writers: HashMap<usize, Transaction>,
    committed: BTreeMap<i64, u8>,
    /// Committed numbers of each key in the order of their commits.
    commits: HashMap<u8, Vec<i64>>,
    ledger: Ledger,
    read_holders: Option<Vec<Holder>>,
    /// Pages sent, with what is not acknowledged of each.
    sent_pages: BTreeMap<usize, usize>,
    sent: Vec<i64>,
}

impl World {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Insert { writer, key } => self.insert(writer, key),
            Step::Commit { writer } => {
                if let Some(transaction) = self.writers.remove(&writer) {
                    self.commit(transaction);
                }
            }
            Step::RollBack { writer } => {
                self.writers.remove(&writer);
            }
            Step::Prepare { writer } => {
                if let Some(mut transaction) = self.writers.remove(&writer) {
                    transaction.id = format!("-1/{}", transaction.id);
                    transaction.prepared = true;
                    self.open.push(transaction);
                }
            }
            Step::Look { limit } => self.look(limit),
            Step::ReadHolders => self.read_holders = Some(self.holders()),
            Step::ReadSequence => {
                if let Some(holders) = self.read_holders.take() {
                    self.ledger.observe(holders, self.sequence);
                }
            }
            Step::Acknowledge { page } => self.acknowledge(page),
            Step::Restart => {
                self.ledger = Ledger::resume(self.ledger.acknowledged().clone());
                self.sent_pages.clear();
                self.read_holders = None;
            }
        }
    }

    fn insert(&mut self, writer: usize, key: u8) {
        let locked_by_other = self
            .writers
            .iter()
            .filter(|(other, _)| **other != writer)
            .map(|(_, transaction)| transaction)
            .chain(&self.open)
            .any(|transaction| transaction.rows.iter().any(|(_, locked)| *locked == key));
        if locked_by_other {
            return;
        }
        self.sequence += 1;
        self.transactions += 1;
        let id = format!("{writer}/{}", self.transactions);
        let transaction = self
            .writers
            .entry(writer)
            .or_insert_with(|| Transaction { id, ..Transaction::default() });
        transaction.moves += 1;
        transaction.rows.push((self.sequence, key));
    }

    fn commit(&mut self, transaction: Transaction) {
        for (number, key) in transaction.rows {
            self.committed.insert(number, key);
            self.commits.entry(key).or_default().push(number);
        }
    }

    /// Some writers are seen idle, some running, some with a transaction id and some without.
    fn holders(&self) -> Vec<Holder> {
        let running = self.writers.iter().map(|(writer, transaction)| Holder {
            id: transaction.id.clone(),
            transaction_id: (writer % 2 == 0).then(|| transaction.id.clone()),
            idle_since: (*writer < 2).then(|| transaction.moves.to_string()),
            prepared: false,
            name: String::new(),
        });
        let prepared = self.open.iter().map(|transaction| Holder {
            id: transaction.id.clone(),
            transaction_id: transaction.id.strip_prefix("-1/").map(str::to_owned),
            idle_since: None,
            prepared: transaction.prepared,
            name: String::new(),
        });
        running.chain(prepared).collect()
    }

    fn look(&mut self, limit: usize) {
        let page = self.ledger.begin_page();
        let gaps = self.ledger.reading().gaps().clone();
        let head = self.ledger.reading().head();
        let found: Vec<i64> =
            self.committed.keys().copied().filter(|&number| gaps.contains(number)).collect();
        let sent_before = self.sent.len();
        for &number in found.iter().take(limit) {
            self.take(number);
        }
        if found.len() <= limit {
            self.ledger.looked_up();
            let ahead: Vec<i64> =
                self.committed.range(head + 1..).map(|(&number, _)| number).take(limit).collect();
            for number in ahead {
                self.take(number);
            }
        }
        self.ledger.end_page();
        let sent = self.sent.len() - sent_before;
        if sent > 0 {
            self.sent_pages.insert(page, sent);
        }
        // The head an observation is made with is the one of the snapshot before it.
        self.read_holders = None;
    }

    fn take(&mut self, number: i64) {
        if self.ledger.take(number, 1, 0) {
            self.sent.push(number);
        }
    }

    fn acknowledge(&mut self, page: usize) {
        let Some((&page, _)) = self.sent_pages.iter().nth(page) else { return };
        let records = self.sent_pages.remove(&page).unwrap();
        self.ledger.acknowledge(page, records);
    }

    /// Ends every transaction and lets the relay work until nothing is left to do.
    fn come_to_rest(&mut self) {
        let mut prepared = std::mem::take(&mut self.open).into_iter();
        self.open = prepared.by_ref().skip(1).collect();
        let ended: Vec<Transaction> =
            self.open.drain(..).chain(self.writers.drain().map(|(_, last)| last)).collect();
        for transaction in ended {
            self.commit(transaction);
        }
        for _ in 0..200 {
            self.apply(&Step::Look { limit: 3 });
            self.apply(&Step::ReadHolders);
            self.apply(&Step::ReadSequence);
            self.apply(&Step::Acknowledge { page: 0 });
        }
    }

    /// Each committed row is on Kafka, nothing else is, and no record precedes one of its key that was never seen.
    fn check(&self) -> Result<(), TestCaseError> {
        let sent: HashSet<i64> = self.sent.iter().copied().collect();
        let committed: HashSet<i64> = self.committed.keys().copied().collect();
        prop_assert_eq!(&sent, &committed, "every committed row, and nothing else");
        for numbers in self.commits.values() {
            let mut seen = 0;
            for number in self.sent.iter().filter(|&number| numbers.contains(number)) {
                let place = numbers.iter().position(|other| other == number).unwrap();
                prop_assert!(place <= seen, "{} was sent before its predecessor", number);
                seen = seen.max(place + 1);
            }
        }
        prop_assert!(self.ledger.reading().gaps().is_empty(), "no gap stays open");
        prop_assert_eq!(self.ledger.read(), self.ledger.acknowledged());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_order_of_commits_each_row_is_sent_once_and_in_order_per_key(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::default();
        for step in &steps {
            world.apply(step);
        }
        world.come_to_rest();
        prop_assert_eq!(world.sent.len(), world.committed.len(), "nothing is sent twice");
        world.check()?;
    }

    #[test]
    fn a_failed_producer_repeats_records_but_never_past_one_not_seen(
        steps in prop::collection::vec(prop_oneof![20 => step(), 1 => Just(Step::Restart)], 0..150),
    ) {
        let mut world = World::default();
        for step in &steps {
            world.apply(step);
        }
        world.come_to_rest();
        world.check()?;
    }
}
