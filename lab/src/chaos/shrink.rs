//! The smallest schedule that still fails: faults are left out one by one as long as the round goes on failing without them.
//!
//! How processes meet is up to the machine, so a round that passes without a fault may have needed luck and not the fault. What is
//! answered has failed; that nothing smaller would is not proven.

use super::{ChaosError, Plan, Report, round};
use crate::stack::Stack;

/// How many rounds it may cost.
const ROUNDS: usize = 16;

/// Leaves out of a round that failed what it fails without.
///
/// # Errors
/// If a round cannot be played.
pub async fn shrink(stack: &Stack, failed: Report) -> Result<Report, ChaosError> {
    let mut smallest = failed;
    let mut played = 0;
    let mut index = 0;
    while index < smallest.plan.strikes.len() && played < ROUNDS {
        let smaller: Plan = smallest.plan.without(index);
        let report = Box::pin(round(stack, &smaller)).await?;
        played += 1;
        if report.is_good() {
            index += 1;
        } else {
            smallest = report;
        }
    }
    Ok(smallest)
}
