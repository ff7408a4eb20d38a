//! Which faults a round has, when each happens, and what it depends on: all from the seed.

use std::{collections::BTreeMap, sync::Arc};

use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

use super::{
    faults::{Fault, catalogue},
    relay::Relay,
};
use crate::campaign::{Delivery, random};

/// How many faults a round has that was not told which.
const FAULTS: usize = 24;
/// After how many calls a fault follows the one before it.
const CALLS: std::ops::RangeInclusive<u64> = 3..=20;

/// A fault of a round.
#[derive(Clone, Debug)]
pub struct Strike {
    /// Which.
    pub fault: Arc<dyn Fault>,
    /// After how many calls it follows the one before it in its lane.
    pub after: u64,
    seed: u64,
    /// Which of the round's faults of that name.
    number: usize,
}

/// A round.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the callers do, and how each fault happens, comes from it.
    pub seed: u64,
    /// How the relay delivers.
    pub delivery: Delivery,
    /// Who is the relay.
    pub relay: Relay,
    /// The faults, each lane's in their order.
    pub strikes: Vec<Strike>,
}

impl Strike {
    /// What chance has for it: the same whatever else the round has.
    #[must_use]
    pub fn random(&self) -> StdRng {
        random(self.seed, &part(&*self.fault, self.number))
    }
}

impl Plan {
    /// The round of `seed`; the seed draws the delivery too if it is not given.
    #[must_use]
    pub fn of(seed: u64, delivery: Option<Delivery>, relay: Relay) -> Self {
        let mut chance = random(seed, "plan");
        let drawn = *Delivery::ALL.choose(&mut chance).unwrap_or(&Delivery::AtLeastOnce);
        let delivery = match relay {
            Relay::OutboxRelay => delivery.unwrap_or(drawn),
            Relay::Debezium => Delivery::AtLeastOnce,
        };
        let mut faults = catalogue(relay);
        faults.retain(|fault| fault.applies_to(delivery));
        let chosen = (0..FAULTS).filter_map(|_| faults.choose(&mut chance).cloned()).collect();
        Self { relay, ..Self::with(seed, delivery, chosen) }
    }

    /// The round of `seed` with these faults and our relay.
    #[must_use]
    pub fn with(seed: u64, delivery: Delivery, faults: Vec<Arc<dyn Fault>>) -> Self {
        let mut names = BTreeMap::<_, usize>::new();
        let strike = |fault: Arc<dyn Fault>| {
            let number = names.entry(fault.name()).or_default();
            *number += 1;
            let part = format!("after {}", part(&*fault, *number));
            let after = random(seed, &part).random_range(CALLS);
            Strike { fault, after, seed, number: *number }
        };
        Self {
            seed,
            delivery,
            relay: Relay::OutboxRelay,
            strikes: faults.into_iter().map(strike).collect(),
        }
    }

    /// The same without one of its faults.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut smaller = self.clone();
        smaller.strikes.remove(index);
        smaller
    }

    /// What has to be run for the same round.
    #[must_use]
    pub fn again(&self) -> String {
        let faults: String =
            self.strikes.iter().map(|strike| format!(" --fault {}", strike.fault.name())).collect();
        let Self { seed, delivery, relay, .. } = self;
        format!("lab chaos --seed {seed} --delivery {delivery} --relay {relay}{faults}")
    }
}

fn part(fault: &dyn Fault, number: usize) -> String {
    format!("{number} {}", fault.name())
}

/// So many rounds that have all faults between them, with seeds from `seed` on. The deliveries take
/// turns.
#[must_use]
pub fn covering(seed: u64, rounds: usize) -> Vec<Plan> {
    let deliveries: Vec<_> = Delivery::ALL.into_iter().cycle().take(rounds).collect();
    let mut dealt: Vec<Vec<Arc<dyn Fault>>> = vec![Vec::new(); rounds];
    for fault in catalogue(Relay::OutboxRelay) {
        let lane = fault.lane();
        let applies = (0..rounds).filter(|round| fault.applies_to(deliveries[*round]));
        // Where its lane has least to do.
        let least = applies
            .min_by_key(|round| dealt[*round].iter().filter(|other| other.lane() == lane).count());
        if let Some(round) = least {
            dealt[round].push(fault);
        }
    }
    let rounds = dealt.into_iter().zip(deliveries).zip(seed..);
    rounds
        .map(|((mut faults, delivery), seed)| {
            faults.shuffle(&mut random(seed, "order"));
            Plan::with(seed, delivery, faults)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_plans_the_same_again() {
        let names = |seed| Plan::of(seed, None, Relay::OutboxRelay).again();
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
    }

    #[test]
    fn a_few_rounds_have_every_fault_between_them() {
        let plans = covering(1, 4);
        let planned: BTreeSet<_> = plans
            .iter()
            .flat_map(|plan| plan.strikes.iter().map(|strike| strike.fault.name()))
            .collect();
        let all: BTreeSet<_> =
            catalogue(Relay::OutboxRelay).iter().map(|fault| fault.name()).collect();
        assert_eq!(planned, all);
        let applies =
            |plan: &Plan| plan.strikes.iter().all(|strike| strike.fault.applies_to(plan.delivery));
        assert!(plans.iter().all(applies));
    }
}
