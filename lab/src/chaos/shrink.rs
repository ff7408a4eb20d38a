//! The smallest schedule that still fails: faults are left out one by one as long as the round goes on failing without them.
//!
//! How processes meet is up to the machine, so a round that passes without a fault may have needed luck and not the fault. What is
//! answered has failed; that nothing smaller would is not proven.

use super::{Outcome, Plan, Report, round};
use crate::stack::Stack;

/// How many rounds it may cost.
const ROUNDS: usize = 16;

/// Leaves out of a round that failed what it fails without in one of the ways in which it failed: `smallest` is always the smallest
/// found so far. Answers the rounds that were not played to their ends, which show nothing.
pub async fn shrink(stack: &Stack, smallest: &mut Report) -> Vec<Report> {
    let failures = smallest.failures();
    let mut broken_off = Vec::new();
    let mut played = 0;
    let mut index = 0;
    while index < smallest.plan.strikes.len() && played < ROUNDS {
        let smaller: Plan = smallest.plan.without(index);
        let report = Box::pin(round(stack, &smaller)).await;
        played += 1;
        match &report.outcome {
            Outcome::Audited(_) if !report.failures().is_disjoint(&failures) => *smallest = report,
            Outcome::Audited(_) => index += 1,
            Outcome::BrokenOff(_) => {
                broken_off.push(report);
                index += 1;
            }
        }
    }
    broken_off
}
