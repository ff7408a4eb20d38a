//! I-4: a consumer commits the effect of an event exactly once. Nobody can look into a transaction that is over, so this is
//! held against what it has left: what is [remembered](handled), what [followed](steps), and what [the rows](states) say now.

mod handled;
mod states;
mod steps;

use crate::audit::{Evidence, Findings};

/// The events that had their effect not at all, or more than once.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let mut violations = handled::handled_once(snapshot);
    violations.extend(steps::announced_once(snapshot));
    violations.extend(states::follow(snapshot));
    violations.extend(states::are_as_announced(snapshot));
    let counted = vec![
        (snapshot.inbox.len(), "handled events"),
        (snapshot.outbox.len(), "announced events"),
        (snapshot.order_states.len(), "reached states"),
    ];
    Findings { counted, violations }
}
