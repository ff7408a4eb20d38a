//! What is broken: one file a kind. A newcomer adds a fault by a file that implements [`Fault`] and a line in `everything`.

mod bad_records;
mod debezium;
mod fail_points;
mod handled;
mod kafka;
mod links;
mod operator;
mod postgres;
mod records;
mod relays;
mod reordered;
mod signals;
mod skewed;

use std::{fmt::Debug, ops::Range, sync::Arc, time::Duration};

use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};

use super::{ChaosError, World, coverage::Busy, relay::Relay};
use crate::{campaign::Delivery, processes::Program};

/// Longer than the session of a consumer here (2 s), and up to more than a caller waits, the lease of a leader lasts, and a
/// database's client is patient.
const LONG_MS: Range<u64> = 3_000..12_000;
/// The session of a consumer here.
const SESSION: Duration = Duration::from_secs(2);
/// The lease of a relay that leads.
const LEASE: Duration = Duration::from_secs(8);

/// What a fault keeps busy: one at a time happens to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A program, or a way to or from it.
    StoreManager,
    /// The same.
    Payments,
    /// The same.
    Relay,
    /// PostgreSQL, Kafka, and what stands on its topics.
    Servers,
}

impl Lane {
    /// All.
    pub const ALL: [Self; 4] = [Self::StoreManager, Self::Payments, Self::Relay, Self::Servers];
}

impl From<Program> for Lane {
    fn from(program: Program) -> Self {
        match program {
            Program::StoreManager => Self::StoreManager,
            Program::Payments => Self::Payments,
            Program::OutboxRelay => Self::Relay,
        }
    }
}

/// Whether a fault has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Struck {
    /// It has, in this way, as soon as it began.
    Yes(String),
    /// It has, in this way, some time after it began, with orders in these steps of the road, if anybody could tell.
    Later(String, Option<Busy>),
    /// Nobody came by the place in time.
    No,
}

impl Struck {
    /// In this way as soon as it began, if it befell anybody at all.
    #[must_use]
    pub fn only_if(befell: bool, way: String) -> Self {
        if befell { Self::Yes(way) } else { Self::No }
    }
}

/// Something that is broken and healed again.
pub trait Fault: Debug {
    /// What it is called: whom it befalls, and what it is.
    fn name(&self) -> String;

    /// What it keeps busy.
    fn lane(&self) -> Lane;

    /// Whether it can happen where the relay delivers so.
    fn applies_to(&self, delivery: Delivery) -> bool {
        let _ = delivery;
        true
    }

    /// Whether programs cannot reach PostgreSQL or Kafka meanwhile, or not in time.
    fn cuts_off(&self) -> bool {
        false
    }

    /// The relay that there must be, if not either will do.
    fn only_with(&self) -> Option<Relay> {
        (self.lane() == Lane::Relay).then_some(Relay::OutboxRelay)
    }

    /// Breaks, waits, and heals.
    fn strike<'a>(
        &'a self,
        world: &'a World,
        random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>>;
}

/// For how long nobody answers: one time of three so long that sessions, leases and calls end meanwhile.
fn silence(random: &mut StdRng, usual_ms: Range<u64>, long_ms: Range<u64>) -> Duration {
    let range = if random.random_ratio(1, 3) { long_ms } else { usual_ms };
    Duration::from_millis(random.random_range(range))
}

/// How long a silence has lasted, by what has ended meanwhile.
fn lasted(silence: Duration) -> String {
    let outlasted = match silence {
        _ if silence > LEASE => "over-8-s ",
        _ if silence > SESSION => "over-2-s ",
        _ => "",
    };
    format!("{outlasted}{} ms", silence.as_millis())
}

/// All faults there are with this relay, those of the road in its order first.
#[must_use]
pub fn catalogue(relay: Relay) -> Vec<Arc<dyn Fault>> {
    let mut all = everything();
    all.retain(|fault| fault.only_with().is_none_or(|only| only == relay));
    all
}

fn everything() -> Vec<Arc<dyn Fault>> {
    let mut all = fail_points::all();
    all.extend(debezium::all());
    all.extend(signals::all());
    all.extend(relays::all());
    all.extend(postgres::all());
    all.extend(kafka::all());
    all.extend(links::all());
    all.extend(records::all());
    all.extend(bad_records::all());
    all.extend(skewed::all());
    all.extend(reordered::all());
    all
}

/// The fault of that name; that of a fail point may say what happens there, as `payments:worker.called=abort`.
///
/// # Errors
/// [`ChaosError::UnknownFault`].
pub fn named(name: &str) -> Result<Arc<dyn Fault>, ChaosError> {
    let found = everything().into_iter().find(|fault| fault.name() == name);
    found
        .or_else(|| fail_points::named(name))
        .ok_or_else(|| ChaosError::UnknownFault(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_told_by_what_it_outlasts() {
        let told = [2_000, 2_001, 8_000, 8_001].map(|ms| lasted(Duration::from_millis(ms)));
        assert_eq!(told, ["2000 ms", "over-2-s 2001 ms", "over-2-s 8000 ms", "over-8-s 8001 ms"]);
    }

    #[test]
    fn every_fault_has_a_name_of_its_own_and_is_found_by_it() {
        let mut names: Vec<_> = everything().iter().map(|fault| fault.name()).collect();
        for name in &names {
            assert_eq!(named(name).unwrap().name(), *name);
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        let aborted = "payments:worker.called=abort";
        assert_eq!(named(aborted).unwrap().name(), aborted);
        assert!(named("nobody.nothing").is_err() && named("payments.killed=abort").is_err());
    }
}
