//! What the writers of a round do, drawn from its seed: the same seed, the same transactions.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Keys that the writers share, on each topic.
const KEYS: usize = 4;

/// A source of chance of its own for each part of a round.
pub(crate) fn random(seed: u64, part: &str) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    for (index, byte) in part.bytes().enumerate() {
        bytes[8 + index % 24] ^= byte.rotate_left(u32::try_from(index % 8).unwrap_or_default());
    }
    StdRng::from_seed(bytes)
}

/// A key of a topic: the row that is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Aggregate {
    /// Which of the place's topics.
    pub(super) topic: usize,
    /// The key there.
    pub(super) key: String,
}

/// What a transaction does between its beginning and its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Appends an event of the transaction's aggregate with this number.
    Append { aggregate: usize, bytes: usize },
    /// The same in a savepoint that is rolled back.
    Undo { aggregate: usize },
    /// Waits.
    Wait(Duration),
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Committed.
    Commit,
    /// Rolled back.
    RollBack,
    /// Prepared, and committed after a while.
    Prepare(Duration),
}

/// A transaction.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    /// What is locked first, in this order.
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    /// Whether PostgreSQL may acknowledge it before it is on disk.
    pub(super) asynchronous: bool,
    /// What the writer waits after it.
    pub(super) pause: Duration,
}

/// The endless list of one writer's transactions.
#[derive(Debug)]
pub(super) struct Script {
    random: StdRng,
    may_prepare: bool,
    /// In some rounds nobody waits for the disk, so that nothing but the relay brings commits there.
    all_asynchronous: bool,
}

impl Script {
    /// Of the writer with this number.
    pub(super) fn new(seed: u64, writer: usize) -> Self {
        Self {
            random: random(seed, &format!("writer {writer}")),
            // One only: PostgreSQL has room for few prepared transactions.
            may_prepare: writer == 0,
            all_asynchronous: is_all_asynchronous(seed),
        }
    }

    fn aggregates(&mut self) -> Vec<Aggregate> {
        let mut aggregates: Vec<_> = (0..self.random.random_range(1..=2))
            .map(|_| Aggregate {
                topic: self.random.random_range(0..2),
                key: self.random.random_range(0..KEYS).to_string(),
            })
            .collect();
        // In one order everywhere, so that no two writers wait for each other.
        aggregates.sort();
        aggregates.dedup();
        aggregates
    }

    fn step(&mut self, aggregates: usize) -> Step {
        let aggregate = self.random.random_range(0..aggregates);
        match self.random.random_range(0..10) {
            0 => Step::Undo { aggregate },
            1 => Step::Wait(self.milliseconds(0..=8)),
            _ => Step::Append { aggregate, bytes: self.random.random_range(0..600) },
        }
    }

    fn end(&mut self) -> End {
        match self.random.random_range(0..20) {
            0..=2 => End::RollBack,
            3 if self.may_prepare => End::Prepare(self.milliseconds(0..=60)),
            _ => End::Commit,
        }
    }

    fn pause(&mut self) -> Duration {
        // Now and then long enough for the relay to fall asleep.
        let longest = if self.random.random_ratio(1, 12) { 150 } else { 4 };
        self.milliseconds(0..=longest)
    }

    fn milliseconds(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }
}

/// Whether no commit of a round waits for the disk.
pub(super) fn is_all_asynchronous(seed: u64) -> bool {
    random(seed, "asynchronous").random_ratio(1, 2)
}

impl Iterator for Script {
    type Item = Transaction;

    fn next(&mut self) -> Option<Transaction> {
        let aggregates = self.aggregates();
        let steps = self.random.random_range(1..=3);
        Some(Transaction {
            steps: (0..steps).map(|_| self.step(aggregates.len())).collect(),
            aggregates,
            end: self.end(),
            asynchronous: self.all_asynchronous || self.random.random_ratio(1, 4),
            pause: self.pause(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_each_writer_a_script_of_its_own_again_and_again() {
        let script =
            |seed, writer| format!("{:?}", Script::new(seed, writer).take(50).collect::<Vec<_>>());
        assert_eq!(script(7, 1), script(7, 1));
        assert_ne!(script(7, 1), script(7, 2));
        assert_ne!(script(7, 1), script(8, 1));
    }

    #[test]
    fn scripts_have_all_that_a_relay_may_meet() {
        let script: Vec<_> = Script::new(1, 0).take(300).collect();
        assert!(script.iter().any(|transaction| transaction.end == End::RollBack));
        assert!(script.iter().any(|transaction| matches!(transaction.end, End::Prepare(_))));
        assert!(script.iter().any(|transaction| transaction.asynchronous));
        let steps: Vec<_> = script.iter().flat_map(|transaction| &transaction.steps).collect();
        assert!(steps.iter().any(|step| matches!(step, Step::Undo { .. })));
    }
}
