//! I-9: what a caller was told holds. Without a history only what the store keeps of its own answers is looked at.
//!
//! A call whose answer nobody knows may have been carried out or not, at most once: what it did, if it did, is found by
//! the answer that the service has kept under its `request_id`.

mod cancels_and_payments;
mod orders;
mod refused_payments;
mod requests;
mod stock;

use crate::{
    audit::{Evidence, Findings},
    history::History,
};
use requests::Request;

/// The answers that do not hold.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let none = History::default();
    let history = evidence.history.unwrap_or(&none);
    let requests = requests::of(history);
    let mut violations = orders::refused_orders_left_nothing(snapshot);
    violations.extend(orders::kept_answers_hold(snapshot));
    violations.extend(requests.iter().filter_map(|request| request.contradiction(snapshot)));
    violations.extend(orders::answers_hold(snapshot, &requests));
    violations.extend(stock::answers_hold(snapshot, &requests));
    violations.extend(cancels_and_payments::answers_hold(snapshot, history));
    violations.extend(refused_payments::unexplained(snapshot, history));
    if let Some(since) = history.invocations.iter().map(|call| call.began).min() {
        violations.extend(orders::every_order_was_asked_for(snapshot, &requests, since));
        violations.extend(stock::every_change_was_asked_for(snapshot, &requests, since));
        violations.extend(cancels_and_payments::were_asked_for(snapshot, history, since));
    }
    let calls = history.invocations.len();
    let counted = vec![
        (calls, "calls"),
        (requests.len(), "requests"),
        (snapshot.answers.len(), "kept answers"),
    ];
    Findings { counted, violations }
}
