//! I-5: once nothing moves, every order has ended, for a [reason](reasons) if it was not completed, and has exactly one
//! SagaCompleted. An order that could not be placed has one too.

mod reasons;

use std::collections::{BTreeMap, HashMap, HashSet};

use proto::store::orders::events::v1::{order_event::Event, saga_completed::Outcome};
use uuid::Uuid;

use crate::audit::{Content, Evidence, Findings, Order, OrderState, Snapshot, Violation};

/// The ends of the sagas: by order, each event of an end once, whether it is committed or on Kafka.
type Ends = BTreeMap<Uuid, HashMap<Uuid, Outcome>>;

/// The orders that have not ended, or not as they should.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let (ends, refused) = (ends(snapshot), refused(snapshot));
    let completed = completed(snapshot);
    let mut violations: Vec<_> = snapshot.orders.iter().filter_map(has_not_ended).collect();
    for order in &snapshot.orders {
        let expected = match completed.contains(&order.order_id) {
            true => Outcome::Succeeded,
            false => Outcome::Failed,
        };
        violations.extend(wrong_end(&ends, order.order_id, expected));
    }
    violations.extend(reasons::missing(snapshot));
    violations.extend(refused.iter().filter_map(|id| wrong_end(&ends, *id, Outcome::Failed)));
    let known: HashSet<_> = snapshot.orders.iter().map(|order| order.order_id).collect();
    let strange = ends.keys().filter(|id| !known.contains(id) && !refused.contains(id));
    violations.extend(strange.map(|id| {
        Violation::of_order(*id, "has a SagaCompleted, and neither exists nor was refused")
    }));
    let count = snapshot.orders.len();
    Findings { counted: vec![(count, "orders"), (refused.len(), "refused orders")], violations }
}

fn has_not_ended(order: &Order) -> Option<Violation> {
    let says = || format!("has not ended: it is {}", order.state.name());
    (!order.state.is_end()).then(|| Violation::of_order(order.order_id, says()))
}

fn wrong_end(ends: &Ends, order_id: Uuid, expected: Outcome) -> Option<Violation> {
    let outcomes: Vec<_> = ends.get(&order_id).into_iter().flat_map(HashMap::values).collect();
    let says = match outcomes.as_slice() {
        [] => "has no SagaCompleted".to_owned(),
        [outcome] if **outcome == expected => return None,
        [outcome] => {
            format!("has a SagaCompleted that says {}, not {}", name(**outcome), name(expected))
        }
        several => format!("has {} SagaCompleted, not one", several.len()),
    };
    Some(Violation::of_order(order_id, says))
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unspecified => "nothing",
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
    }
}

fn ends(snapshot: &Snapshot) -> Ends {
    let rows = snapshot.outbox.iter().map(|row| (row.event_id, row.content()));
    let records =
        snapshot.relayed().filter_map(|record| Some((record.event_id()?, record.content())));
    let mut ends = Ends::new();
    for (event_id, content) in rows.chain(records) {
        if let Content::Order(Event::SagaCompleted(end)) = content
            && let Ok(order_id) = end.order_id.parse()
        {
            ends.entry(order_id).or_default().insert(event_id, end.outcome());
        }
    }
    ends
}

/// The orders that were asked for and could not be placed.
fn refused(snapshot: &Snapshot) -> HashSet<Uuid> {
    let of = |row: &crate::audit::Row| match row.content() {
        Content::Order(Event::OrderCreationFailed(event)) => event.order_id.parse().ok(),
        Content::Order(_)
        | Content::Stock(_)
        | Content::Payment(_)
        | Content::Product(_)
        | Content::User(_)
        | Content::Unreadable => None,
    };
    snapshot.outbox.iter().filter_map(of).collect()
}

/// The orders that have been COMPLETED, whatever has become of them since: their sagas have succeeded.
fn completed(snapshot: &Snapshot) -> HashSet<Uuid> {
    let completed =
        snapshot.order_states.iter().filter(|reached| reached.state == OrderState::Completed);
    completed.map(|reached| reached.order_id).collect()
}
