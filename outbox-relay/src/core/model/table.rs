//! The database of the model: the sequence, the rows, and the transactions that write them.
//!
//! A step is what PostgreSQL does at one moment. A commit is one step: PostgreSQL shows a row before it gives up the
//! transaction's locks and delivers its notification, and what comes later only makes the relay wait.

use crate::core::gaps::Gaps;
use crate::core::holders::Holder;
use crate::core::quiet::{Fate, Fates};

/// How a transaction looks from outside, and what it has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Between two statements it is seen idle; otherwise it is always seen running.
    pub(super) idle: bool,
    /// Its transaction id can be read while it runs, once it has one.
    pub(super) named: bool,
    /// It may be prepared, and therefore never notifies.
    pub(super) two_phase: bool,
}

/// How a row made itself known when its number was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Announced {
    /// The relay was awake: the advisory lock is held shared until the transaction ends.
    Lock,
    /// The relay slept: the commit notifies it.
    Notification,
    /// The relay slept, and a transaction that is to be prepared cannot notify: its fallback poll finds the row.
    Nothing,
}

/// What became of a number that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Row {
    /// The transaction `by` is open.
    Open { key: u8, by: u8, announced: Announced },
    /// Everybody sees it.
    Committed { key: u8, announced: Announced },
    /// Rolled back, with its transaction or to a savepoint.
    Gone,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Between two statements.
    Between,
    /// It has the key's lock and the table's, and is about to draw a number.
    Inserting { key: u8 },
    /// Only where writers are broken: it has drawn a number and not yet taken the table's lock.
    Unlocked,
    /// Prepared: it survives its session.
    Prepared,
}

/// A transaction that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transaction {
    pub(super) id: u8,
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    /// Its statements, which make the token that says since when it is idle.
    statements: u8,
}

/// The outbox and everybody who writes to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Table {
    /// The rows by their numbers, of which the first is 1.
    rows: Vec<Row>,
    /// By the order in which they began.
    pub(super) transactions: Vec<Transaction>,
    /// How many have begun.
    pub(super) begun: u8,
    /// Those that were rolled back, as far as anybody will ask.
    rolled_back: Vec<u8>,
}

impl Table {
    /// The sequence's last value.
    pub(super) fn last_value(&self) -> i64 {
        i64::try_from(self.rows.len()).expect("a few")
    }

    /// Every number drawn with what became of it.
    pub(super) fn rows(&self) -> impl Iterator<Item = (i64, Row)> + '_ {
        (1..).zip(self.rows.iter().copied())
    }

    /// The committed rows, number and key.
    pub(super) fn committed(&self) -> impl Iterator<Item = (i64, u8)> + '_ {
        self.rows().filter_map(|(number, row)| match row {
            Row::Committed { key, .. } => Some((number, key)),
            Row::Open { .. } | Row::Gone => None,
        })
    }

    /// What a snapshot taken now shows within the gaps.
    pub(super) fn look_up(&self, gaps: &Gaps, limit: usize) -> Vec<(i64, u8)> {
        self.committed().filter(|&(number, _)| gaps.contains(number)).take(limit).collect()
    }

    /// What a snapshot taken now shows above the head and up to a number.
    pub(super) fn page(&self, head: i64, end: i64, limit: usize) -> Vec<(i64, u8)> {
        self.committed().filter(|&(number, _)| number > head && number <= end).take(limit).collect()
    }

    /// What has become of transactions, as a snapshot taken now has it.
    pub(super) fn fates(&self, transactions: &[i64]) -> Fates {
        let fate = |id: &i64| {
            if self.transactions.iter().any(|open| i64::from(open.id) == *id) {
                Fate::InProgress
            } else if self.rolled_back.iter().any(|gone| i64::from(*gone) == *id) {
                Fate::RolledBack
            } else {
                Fate::Ended
            }
        };
        transactions.iter().map(|id| (*id, fate(id))).collect()
    }

    /// Nobody will ask about any others.
    pub(super) fn forget_rolled_back(&mut self, but: &[i64]) {
        self.rolled_back.retain(|id| but.contains(&i64::from(*id)));
    }

    /// What a snapshot taken now shows of one key between two numbers.
    pub(super) fn held(&self, key: u8, first: i64, last: i64, limit: usize) -> Vec<i64> {
        let of_key = self.committed().filter(|&(_, other)| other == key);
        let numbers = of_key.map(|(number, _)| number);
        numbers.filter(|number| (first..=last).contains(number)).take(limit).collect()
    }

    /// Whether a writer holds the advisory lock shared, so that the relay must not sleep.
    pub(super) fn announces(&self) -> bool {
        self.rows.iter().any(|row| matches!(row, Row::Open { announced: Announced::Lock, .. }))
    }

    /// Who holds RowExclusiveLock on the table.
    pub(super) fn holders(&self) -> Vec<Holder> {
        self.transactions
            .iter()
            .filter(|open| self.is_holder(open))
            .map(|open| open.seen(self.has_rows(open.id)))
            .collect()
    }

    /// A lock taken within a savepoint goes with it.
    fn is_holder(&self, open: &Transaction) -> bool {
        match open.stage {
            Stage::Inserting { .. } => true,
            Stage::Unlocked => false,
            Stage::Between | Stage::Prepared => self.rows_of(open.id).next().is_some(),
        }
    }

    /// The indices of the rows that a transaction may still commit.
    fn rows_of(&self, transaction: u8) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().enumerate().filter_map(move |(index, row)| match row {
            Row::Open { by, .. } if *by == transaction => Some(index),
            Row::Open { .. } | Row::Committed { .. } | Row::Gone => None,
        })
    }

    /// Who has locked the key's aggregate.
    pub(super) fn locked_by(&self, key: u8) -> Option<u8> {
        let inserting = self.transactions.iter().find(|t| t.stage == Stage::Inserting { key });
        inserting.map(|open| open.id).or_else(|| {
            self.rows.iter().find_map(|row| match row {
                Row::Open { key: locked, by, .. } if *locked == key => Some(*by),
                Row::Open { .. } | Row::Committed { .. } | Row::Gone => None,
            })
        })
    }

    /// Whether any row or transaction is about this key.
    pub(super) fn knows(&self, key: u8) -> bool {
        self.locked_by(key).is_some() || self.committed().any(|(_, known)| known == key)
    }

    /// Whether the transaction has a row that it could undo or commit.
    pub(super) fn has_rows(&self, transaction: u8) -> bool {
        self.rows_of(transaction).next().is_some()
    }

    /// Whether the transaction's commit will notify.
    pub(super) fn notifies(&self, transaction: u8) -> bool {
        self.rows_of(transaction).any(|index| {
            matches!(self.rows[index], Row::Open { announced: Announced::Notification, .. })
        })
    }

    /// A transaction begins; it has done nothing yet.
    pub(super) fn begin(&mut self, kind: Kind) -> u8 {
        let id = self.begun;
        self.begun += 1;
        self.transactions.push(Transaction { id, kind, stage: Stage::Between, statements: 0 });
        id
    }

    /// Moves a transaction to another stage.
    pub(super) fn enter(&mut self, transaction: u8, stage: Stage) {
        let open = self.transactions.iter_mut().find(|open| open.id == transaction);
        let open = open.expect("it is open");
        open.statements += u8::from(stage == Stage::Between);
        open.stage = stage;
    }

    /// The column default: tries the advisory lock, and draws the number.
    pub(super) fn draw(&mut self, transaction: u8, key: u8, relay_sleeps: bool) {
        let two_phase =
            self.transactions.iter().any(|open| open.id == transaction && open.kind.two_phase);
        let announced = match (relay_sleeps, two_phase) {
            (false, _) => Announced::Lock,
            (true, false) => Announced::Notification,
            (true, true) => Announced::Nothing,
        };
        self.rows.push(Row::Open { key, by: transaction, announced });
    }

    /// Rolls back to the savepoint before the transaction's last row.
    pub(super) fn undo(&mut self, transaction: u8) {
        if let Some(last) = self.rows_of(transaction).last() {
            self.rows[last] = Row::Gone;
        }
        self.enter(transaction, Stage::Between);
    }

    /// Ends a transaction.
    pub(super) fn end(&mut self, transaction: u8, commits: bool) {
        for row in &mut self.rows {
            if let Row::Open { key, by, announced } = *row
                && by == transaction
            {
                *row = if commits { Row::Committed { key, announced } } else { Row::Gone };
            }
        }
        self.transactions.retain(|open| open.id != transaction);
        if !commits {
            self.rolled_back.push(transaction);
            self.rolled_back.sort_unstable();
        }
    }
}

impl Transaction {
    /// It has an id when it has written something.
    fn seen(&self, has_written: bool) -> Holder {
        let prepared = self.stage == Stage::Prepared;
        let idle = self.kind.idle && self.stage == Stage::Between;
        Holder {
            id: if prepared { format!("-1/{}", self.id) } else { self.id.to_string() },
            transaction_id: (prepared || self.kind.named && has_written).then(|| self.id.into()),
            idle_since: idle.then(|| self.statements.to_string()),
            prepared,
            name: String::new(),
        }
    }
}
