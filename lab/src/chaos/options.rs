//! What a campaign is asked for, and the rounds that it has then.

use std::sync::Arc;

use super::{ChaosError, Fault, Plan, Relay, covering, plan::numbered_fault};
use crate::{bench::Output, campaign::Delivery};

/// What a campaign consists of.
#[derive(Clone, Debug, clap::Args)]
pub struct ChaosOptions {
    /// The seed of the first round; each further one has the next.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub seed: u64,
    /// How many rounds.
    #[arg(
        long,
        default_value_t = 1,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub rounds: u64,
    /// Minutes after which no round is begun any more, however many rounds there were; at most a year.
    #[arg(
        long,
        value_name = "MINUTES",
        conflicts_with = "rounds",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=525_600)
    )]
    pub minutes: Option<u64>,
    /// The rounds have every fault there is between them.
    #[arg(long, conflicts_with_all = ["minutes", "faults", "delivery", "relay"])]
    pub cover: bool,
    /// Only these faults, which may be given several times, in each round. Without it, those that the seed draws. `NAME#2` is the
    /// second of its name, with its chance, also where there is no first.
    #[arg(long = "fault", value_name = "NAME")]
    pub faults: Vec<String>,
    /// How the relay delivers. Without it, as the seed draws it, or as the faults need it.
    #[arg(long, value_enum)]
    pub delivery: Option<Delivery>,
    /// Who carries events to Kafka.
    #[arg(long, value_enum, default_value_t)]
    pub relay: Relay,
    /// Name all faults, and do nothing.
    #[arg(long)]
    pub list: bool,
    /// Of a round that fails, do not look for the smallest schedule that still fails.
    #[arg(long)]
    pub no_shrink: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl ChaosOptions {
    /// The rounds, one after the other; without end if it is the time that ends them.
    pub(super) fn plans(&self) -> Result<Box<dyn Iterator<Item = Plan>>, ChaosError> {
        if self.cover {
            return Ok(Box::new(covering(self.seed, self.rounds)?.into_iter()));
        }
        let faults = self.faults.iter().map(|text| numbered_fault(text));
        let faults = faults.collect::<Result<Vec<_>, _>>()?;
        let delivery = self.delivery(faults.iter().map(|(fault, _)| fault))?;
        let (seed, relay) = (self.seed, self.relay);
        let rounds = if self.minutes.is_some() { u64::MAX } else { self.rounds };
        Ok(Box::new((0..rounds).map(move |round| {
            let drawn = Plan::of(seed.wrapping_add(round), delivery, relay);
            if faults.is_empty() {
                return drawn;
            }
            Plan { relay, ..Plan::numbered(drawn.seed, drawn.delivery, faults.iter().cloned()) }
        })))
    }

    /// The only delivery that is asked for or that all the faults can happen with; none if each round may draw its own.
    fn delivery<'a>(
        &self,
        faults: impl Iterator<Item = &'a Arc<dyn Fault>> + Clone,
    ) -> Result<Option<Delivery>, ChaosError> {
        if self.relay == Relay::Debezium && self.delivery == Some(Delivery::ExactlyOnce) {
            return Err(ChaosError::Undeliverable);
        }
        let asked =
            Delivery::ALL.into_iter().filter(|delivery| match (self.delivery, self.relay) {
                (Some(asked), _) => *delivery == asked,
                (None, Relay::OutboxRelay) => true,
                (None, Relay::Debezium) => *delivery == Delivery::AtLeastOnce,
            });
        let can = |fault: &Arc<dyn Fault>, delivery| {
            fault.applies_to(delivery) && fault.only_with().is_none_or(|only| only == self.relay)
        };
        let possible: Vec<_> = asked
            .clone()
            .filter(|delivery| faults.clone().all(|fault| can(fault, *delivery)))
            .collect();
        match possible[..] {
            [] => {
                let hindered =
                    faults.filter(|fault| !asked.clone().all(|delivery| can(fault, delivery)));
                let names: Vec<_> = hindered.map(|fault| format!("`{}`", fault.name())).collect();
                Err(ChaosError::Impossible(names.join(" and ")))
            }
            [only] => Ok(Some(only)),
            [..] => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: ChaosOptions,
    }

    fn parsed(line: &str) -> Result<ChaosOptions, clap::Error> {
        Line::try_parse_from(line.split(' ').skip(1)).map(|line| line.options)
    }

    fn first(line: &str) -> Plan {
        parsed(line).unwrap().plans().unwrap().next().unwrap()
    }

    fn refusal(line: &str) -> String {
        parsed(line).unwrap().plans().err().unwrap().to_string()
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_a_sentence() {
        for (line, sentence) in [
            (
                "lab chaos --fault nobody.nothing",
                "there is no fault `nobody.nothing`: `lab chaos --list` names them",
            ),
            (
                "lab chaos --fault payments.killed#0",
                "`payments.killed#0` does not end in the number of a fault, such as `payments.killed#2`",
            ),
            (
                "lab chaos --fault payments.killed#",
                "`payments.killed#` does not end in the number of a fault, such as `payments.killed#2`",
            ),
            (
                "lab chaos --relay debezium --delivery exactly-once",
                "debezium delivers at least once only: leave out --delivery, or the relay",
            ),
            (
                "lab chaos --delivery at-least-once --fault outbox-relay:relay.committed --fault postgres.full",
                "no round can have `outbox-relay:relay.committed` with this delivery and this relay",
            ),
            (
                "lab chaos --relay debezium --fault outbox-relay.twice",
                "no round can have `outbox-relay.twice` with this delivery and this relay",
            ),
        ] {
            assert_eq!(refusal(line), sentence);
        }
        assert!(refusal("lab chaos --cover --rounds 100000000").contains("cannot have all"));
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_what_is_wrong_with_them() {
        for line in [
            "--minutes 0",
            "--minutes 18446744073709551615",
            "--minutes -1",
            "--rounds 0",
            "--seed -1",
        ] {
            let error = parsed(&format!("lab chaos {line}")).unwrap_err().to_string();
            assert!(error.contains("invalid value"), "{line}: {error}");
        }
    }

    #[test]
    fn the_last_seed_is_followed_by_the_first() {
        for line in [
            "--seed 18446744073709551615 --rounds 100000000",
            "--seed 18446744073709551615 --rounds 2 --cover",
        ] {
            let plans = parsed(&format!("lab chaos {line}")).unwrap().plans().unwrap();
            let seeds: Vec<_> = plans.take(2).map(|plan| plan.seed).collect();
            assert_eq!(seeds, [u64::MAX, 0]);
        }
    }

    #[test]
    fn faults_that_need_a_delivery_have_it_whatever_the_seed_draws() {
        let deliveries = |line: &str| -> Vec<_> {
            parsed(line).unwrap().plans().unwrap().map(|plan| plan.delivery).collect()
        };
        let needing = deliveries("lab chaos --rounds 20 --fault outbox-relay:relay.committed");
        assert_eq!(needing, [Delivery::ExactlyOnce; 20]);
        let either = deliveries("lab chaos --rounds 20 --fault postgres.full");
        assert!(Delivery::ALL.iter().all(|delivery| either.contains(delivery)));
    }

    #[test]
    fn a_schedule_with_a_fault_left_out_is_repeated_with_the_same_chances() {
        use rand::Rng;

        let line = "lab chaos --seed 7 --fault payments.killed --fault postgres.full --fault payments.killed --fault payments.killed --fault payments:worker.called=abort";
        let plan = first(line);
        let chances = |plan: &Plan| -> Vec<_> {
            let chance = |strike: &super::super::Strike| {
                (strike.fault.name(), strike.after, strike.random().random::<u64>())
            };
            plan.strikes.iter().map(chance).collect()
        };
        for index in 0..plan.strikes.len() {
            let smaller = plan.without(index);
            assert_eq!(chances(&first(&smaller.again())), chances(&smaller), "{}", smaller.again());
        }
        let twice_smaller = plan.without(2).without(0);
        assert_eq!(chances(&first(&twice_smaller.again())), chances(&twice_smaller));
        assert!(twice_smaller.again().contains(" --fault payments.killed#3"));
        assert!(!plan.again().contains('#'));
    }
}
