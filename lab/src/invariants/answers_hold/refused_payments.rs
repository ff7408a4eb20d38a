//! What refused callers of `ProcessPayment` were told: that there is no such payment, or that it is not pending, was so then.

use std::collections::{HashMap, HashSet};

use proto::store::payments::events::v1::payment_event::Event;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    audit::{Content, Owner, Snapshot, Violation},
    history::{Answer, Command, History, Invocation},
};

/// When a payment could be paid, or was: for certain, as far as the inboxes tell.
///
/// A payment is requested, then pending, and then it stays paid or is cancelled. That it is pending was committed before
/// store-manager began to handle that; that it is cancelled was committed after payments began to handle the cancel. The rows
/// of the outbox do not tell: what says when they were written may be told by a clock that is wrong.
#[derive(Clone, Copy, Debug)]
struct Payable {
    since: OffsetDateTime,
    until: Option<OffsetDateTime>,
}

impl Payable {
    /// Whether it could be paid, or was, during the whole of the call.
    fn covers(&self, call: &Invocation) -> bool {
        let is_before = |end: OffsetDateTime| call.ended.is_some_and(|ended| end > ended);
        self.since < call.began && self.until.is_none_or(is_before)
    }
}

/// The refusals that nothing explains. One for another reason tells nothing of the payment.
pub(super) fn unexplained(snapshot: &Snapshot, history: &History) -> Vec<Violation> {
    let known: HashMap<_, _> =
        snapshot.payments.iter().map(|payment| (payment.payment_id, payment.order_id)).collect();
    let payable = payable(snapshot);
    let mut seen = HashSet::new();
    let wrong = |call: &Invocation| {
        let Command::ProcessPayment { payment_id } = &call.command else { return None };
        let Answer::Refused { reason, .. } = &call.answer else { return None };
        let order_id = known.get(payment_id)?;
        let says = match reason.as_str() {
            // Nobody knows its id before it is there, and none is ever removed.
            "PAYMENT_NOT_FOUND" => "exists, and a payer was told that it does not",
            "PAYMENT_NOT_PENDING"
                if payable.get(payment_id).is_some_and(|payable| payable.covers(call)) =>
            {
                "was refused as not pending, when it was pending or paid"
            }
            _ => return None,
        };
        let sentence = format!("payment {payment_id} {says}");
        seen.insert(sentence.clone()).then(|| Violation::new(Some(*order_id), sentence))
    };
    history.invocations.iter().filter_map(wrong).collect()
}

/// Of each payment that the provider has accepted, when it could be paid, if that is known.
fn payable(snapshot: &Snapshot) -> HashMap<Uuid, Payable> {
    let inbox = snapshot.inbox.iter();
    let handled: HashMap<_, _> =
        inbox.map(|handled| ((handled.by, handled.event_id), handled.handled_at)).collect();
    let (mut since, mut until) = (HashMap::new(), HashMap::new());
    for row in &snapshot.outbox {
        let Content::Payment(event) = row.content() else { continue };
        match event {
            Event::PaymentCreated(event) => {
                let at = handled.get(&(Owner::StoreManager, row.event_id));
                since.insert(event.payment_id, at.copied());
            }
            Event::PaymentCancelled(event) => {
                let at = row.cause.and_then(|cause| handled.get(&(Owner::Payments, cause)));
                until.insert(event.payment_id, at.copied());
            }
            Event::PaymentProcessed(_) | Event::PaymentCreationFailed(_) => {}
        }
    }
    let known = since.into_iter().filter_map(|(payment_id, since)| {
        let until = match until.get(&payment_id) {
            Some(at) => Some((*at)?),
            None => None,
        };
        Some((payment_id.parse().ok()?, Payable { since: since?, until }))
    });
    known.collect()
}
