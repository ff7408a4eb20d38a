//! What has happened where: each fault with how often it struck, in which way, and which steps of the road had orders in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Value, json};

use super::{
    Relay,
    faults::{Struck, catalogue},
};
use crate::audit::Owner;

/// A step of the road that orders take their time for.
#[derive(Debug)]
pub(super) struct Step {
    name: &'static str,
    /// Whose database tells.
    pub(super) owner: Owner,
    /// A row for each order that is there.
    pub(super) rows: &'static str,
}

/// For each step, whether orders are there.
pub(super) type Busy = [bool; STEPS.len()];

/// The steps, in the order of the road and then of its way back.
pub(super) const STEPS: [Step; 8] = [
    Step::of_orders("taking stock", "store_manager.orders WHERE state = 'DECREASING_STOCK'"),
    Step::of_orders("creating payment", "store_manager.orders WHERE state = 'CREATING_PAYMENT'"),
    Step::of_payments("asking the provider", "payments.payments WHERE state = 'requested'"),
    Step::of_orders("to be paid", "store_manager.orders WHERE state = 'COMPLETED' AND NOT is_paid"),
    Step::of_orders(
        "cancelling the payment",
        "store_manager.orders WHERE state = 'CANCELLING' AND stock_taken",
    ),
    Step::of_payments(
        "voiding at the provider",
        "payments.payments WHERE state = 'cancelled' AND settled_at IS NULL",
    ),
    Step::of_orders(
        "cancelling",
        "store_manager.orders WHERE state = 'CANCELLING' AND NOT stock_taken",
    ),
    Step::of_orders(
        "ending",
        "store_manager.orders WHERE state = 'CANCELLED' AND saga_completed_at IS NULL",
    ),
];

impl Step {
    const fn of_orders(name: &'static str, rows: &'static str) -> Self {
        Self { name, owner: Owner::StoreManager, rows }
    }

    const fn of_payments(name: &'static str, rows: &'static str) -> Self {
        Self { name, owner: Owner::Payments, rows }
    }
}

/// How a fault has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    struck: usize,
    missed: usize,
    ways: BTreeMap<String, usize>,
    /// At how many of them there were orders in each step.
    steps: [usize; STEPS.len()],
    /// At how many of them the databases did not tell.
    untold: usize,
}

/// Which faults have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, Row>);

impl Coverage {
    /// A fault that began with orders in these steps has struck or missed.
    pub(super) fn add(&mut self, fault: &str, struck: &Struck, began_with: Option<Busy>) {
        let row = self.0.entry(fault.to_owned()).or_default();
        let (way, steps) = match struck {
            Struck::No => {
                row.missed += 1;
                return;
            }
            Struck::Yes(way) => (way, began_with),
            Struck::Later(way, steps) => (way, *steps),
        };
        row.struck += 1;
        // How long or how many is no way of its own.
        let way = way.split(' ').next().unwrap_or_default();
        if way.parse::<u64>().is_err() {
            *row.ways.entry(way.to_owned()).or_default() += 1;
        }
        row.untold += usize::from(steps.is_none());
        for (count, is_busy) in row.steps.iter_mut().zip(steps.into_iter().flatten()) {
            *count += usize::from(is_busy);
        }
    }

    /// What another round has.
    pub fn merge(&mut self, other: &Self) {
        for (fault, theirs) in &other.0 {
            let row = self.0.entry(fault.clone()).or_default();
            row.struck += theirs.struck;
            row.missed += theirs.missed;
            row.untold += theirs.untold;
            for (way, count) in &theirs.ways {
                *row.ways.entry(way.clone()).or_default() += count;
            }
            for (count, more) in row.steps.iter_mut().zip(theirs.steps) {
                *count += more;
            }
        }
    }

    /// How many faults have struck.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.0.values().map(|row| row.struck).sum()
    }

    /// The faults that there are with our relay and that have not struck, in their order.
    #[must_use]
    pub fn not_reached(&self) -> Vec<String> {
        let reached: BTreeSet<_> =
            self.0.iter().filter(|(_, row)| row.struck > 0).map(|(name, _)| name.clone()).collect();
        let all = catalogue(Relay::OutboxRelay).into_iter().map(|fault| fault.name());
        all.filter(|name| !reached.contains(name)).collect()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.0.iter().map(|(fault, row)| {
            let steps: serde_json::Map<_, _> = STEPS
                .iter()
                .zip(row.steps)
                .map(|(step, count)| (step.name.to_owned(), json!(count)))
                .collect();
            let value = json!({
                "struck": row.struck,
                "missed": row.missed,
                "ways": row.ways,
                "steps": steps,
                "untold": row.untold,
            });
            (fault.clone(), value)
        });
        Value::Object(rows.collect())
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = STEPS.map(|step| step.name).join(", ");
        writeln!(formatter, "{:<44} struck missed  with orders: {steps}", "fault")?;
        let ours = catalogue(Relay::OutboxRelay).into_iter().map(|fault| fault.name());
        let order: Vec<_> = ours.collect();
        let place = |name: &String| order.iter().position(|known| known == name);
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
        for (name, row) in rows {
            let steps: String = row.steps.iter().map(|count| format!(" {count:>3}")).collect();
            let untold = (row.untold > 0).then(|| format!("databases silent {}", row.untold));
            let ways = row.ways.iter().map(|(way, count)| format!("{way} {count}"));
            let ways: Vec<_> = ways.chain(untold).collect();
            writeln!(
                formatter,
                "{name:<44} {:>6} {:>6} {steps}  {}",
                row.struck,
                row.missed,
                ways.join(", ")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_missed_is_not_reached() {
        let mut coverage = Coverage::default();
        coverage.add("postgres.full", &Struck::No, None);
        coverage.add("kafka.killed", &Struck::Yes("70 ms".to_owned()), Some([true; STEPS.len()]));
        let missing = coverage.not_reached();
        assert!(missing.contains(&"postgres.full".to_owned()));
        assert!(!missing.contains(&"kafka.killed".to_owned()));
        let mut twice = coverage.clone();
        twice.merge(&coverage);
        assert_eq!((coverage.struck(), twice.struck()), (1, 2));
    }

    #[test]
    fn a_fault_has_the_steps_of_when_it_struck_and_what_was_not_told_is_not_none() {
        let page = |struck: &Struck, began_with| {
            let mut coverage = Coverage::default();
            coverage.add("payments:worker.called", struck, began_with);
            coverage.to_string().lines().last().unwrap_or_default().trim_end().to_owned()
        };
        let ones = "    1   1   1   1   1   1   1   1  abort 1";
        let zeros = "    0   0   0   0   0   0   0   0  abort 1";
        let [none, all] = [false, true].map(|busy| Some([busy; STEPS.len()]));
        let abort = || "abort".to_owned();
        assert!(page(&Struck::Later(abort(), all), none).ends_with(ones));
        assert!(page(&Struck::Yes(abort()), all).ends_with(ones));
        assert!(page(&Struck::Yes(abort()), none).ends_with(zeros));
        assert!(page(&Struck::Later(abort(), None), all).ends_with("abort 1, databases silent 1"));
    }
}
