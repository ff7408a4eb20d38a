//! Which faults a round has, when each happens, and what it depends on: all from the seed.

use std::{collections::BTreeMap, sync::Arc};

use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

use super::{
    ChaosError,
    faults::{Fault, catalogue, named},
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
        Self::numbered(seed, delivery, faults.into_iter().map(|fault| (fault, None)))
    }

    /// The same; a fault without a number has the one after that of the last of its name.
    pub(super) fn numbered(
        seed: u64,
        delivery: Delivery,
        faults: impl IntoIterator<Item = (Arc<dyn Fault>, Option<usize>)>,
    ) -> Self {
        let mut names = BTreeMap::<_, usize>::new();
        let strike = |(fault, number): (Arc<dyn Fault>, Option<usize>)| {
            let last = names.entry(fault.name()).or_default();
            let number = number.unwrap_or(last.saturating_add(1));
            *last = number;
            let part = format!("after {}", part(&*fault, number));
            let after = random(seed, &part).random_range(CALLS);
            Strike { fault, after, seed, number }
        };
        Self {
            seed,
            delivery,
            relay: Relay::OutboxRelay,
            strikes: faults.into_iter().map(strike).collect(),
        }
    }

    /// The same without one of its faults. The others keep their numbers, and with them their chance.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut smaller = self.clone();
        smaller.strikes.remove(index);
        smaller
    }

    /// What has to be run for the same round.
    #[must_use]
    pub fn again(&self) -> String {
        let mut names = BTreeMap::<_, usize>::new();
        let fault = |strike: &Strike| {
            let name = strike.fault.name();
            let last = names.insert(name.clone(), strike.number).unwrap_or_default();
            if strike.number == last.saturating_add(1) {
                format!(" --fault {name}")
            } else {
                format!(" --fault {name}#{}", strike.number)
            }
        };
        let faults: String = self.strikes.iter().map(fault).collect();
        let Self { seed, delivery, relay, .. } = self;
        format!("lab chaos --seed {seed} --delivery {delivery} --relay {relay}{faults}")
    }
}

/// A fault and, after a `#`, which of its name it is: `payments.killed#2`.
pub(super) fn numbered_fault(text: &str) -> Result<(Arc<dyn Fault>, Option<usize>), ChaosError> {
    let Some((name, number)) = text.rsplit_once('#') else { return Ok((named(text)?, None)) };
    match number.parse() {
        Ok(number) if number > 0 => Ok((named(name)?, Some(number))),
        Ok(_) | Err(_) => Err(ChaosError::FaultNumber(text.to_owned())),
    }
}

fn part(fault: &dyn Fault, number: usize) -> String {
    format!("{number} {}", fault.name())
}

/// So many rounds that have all faults between them, with seeds from `seed` on. The deliveries take turns, first the one that
/// the most faults can happen with.
///
/// # Errors
/// [`ChaosError::Uncoverable`] if there are too few rounds for all faults, or more than faults.
pub fn covering(seed: u64, rounds: u64) -> Result<Vec<Plan>, ChaosError> {
    let all = catalogue(Relay::OutboxRelay);
    let mut deliveries = Delivery::ALL;
    let excluded = |delivery| all.iter().filter(|fault| !fault.applies_to(delivery)).count();
    deliveries.sort_by_key(|delivery| excluded(*delivery));
    let least = if excluded(deliveries[0]) == 0 { 1 } else { deliveries.len() };
    let refused = || ChaosError::Uncoverable { rounds, faults: all.len(), least };
    let count = usize::try_from(rounds).ok().filter(|count| (least..=all.len()).contains(count));
    let count = count.ok_or_else(refused)?;
    let deliveries = deliveries.into_iter().cycle().take(count);
    let mut dealt: Vec<(Delivery, Vec<Arc<dyn Fault>>)> =
        deliveries.map(|delivery| (delivery, Vec::new())).collect();
    for fault in all.iter().cloned() {
        let lane = fault.lane();
        let applies = dealt.iter_mut().filter(|(delivery, _)| fault.applies_to(*delivery));
        // Where its lane has least to do.
        let least = applies
            .min_by_key(|(_, faults)| faults.iter().filter(|other| other.lane() == lane).count());
        let (_, faults) = least.ok_or_else(refused)?;
        faults.push(fault);
    }
    let seeds = (0..).map(|round| seed.wrapping_add(round));
    let plan = |((delivery, mut faults), seed): ((Delivery, Vec<_>), u64)| {
        faults.shuffle(&mut random(seed, "order"));
        Plan::with(seed, delivery, faults)
    };
    Ok(dealt.into_iter().zip(seeds).map(plan).collect())
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
        let all: BTreeSet<_> =
            catalogue(Relay::OutboxRelay).iter().map(|fault| fault.name()).collect();
        let has_all = |delivery: &Delivery| {
            catalogue(Relay::OutboxRelay).iter().all(|fault| fault.applies_to(*delivery))
        };
        let least = if Delivery::ALL.iter().any(has_all) { 1 } else { 2 };
        assert!(covering(1, least - 1).is_err());
        for rounds in least..=4 {
            let plans = covering(1, rounds).unwrap();
            let strikes = plans.iter().flat_map(|plan| &plan.strikes);
            let planned: BTreeSet<_> = strikes.map(|strike| strike.fault.name()).collect();
            assert_eq!(planned, all, "{rounds} rounds");
            let applies = |plan: &Plan| {
                plan.strikes.iter().all(|strike| strike.fault.applies_to(plan.delivery))
            };
            assert!(plans.iter().all(applies));
        }
    }
}
