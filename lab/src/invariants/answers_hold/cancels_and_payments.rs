//! What callers of `CancelOrder` and `ProcessPayment` were told: paid stays paid, and a cancel is refused only by a payment.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use uuid::Uuid;

use crate::{
    audit::{Order, OrderState, Payment, PaymentState, Snapshot, Violation},
    history::{Answer, Command, History, Reply},
};

/// Why an order is cancelled that a caller has cancelled.
const BY_CALLER: &str = "CANCELLED_BY_CALLER";

/// Each acknowledged cancel has ended the order, unless a payment came first; each acknowledged payment is made; each refused
/// cancel was refused rightly.
pub(super) fn answers_hold(snapshot: &Snapshot, history: &History) -> Vec<Violation> {
    let orders: HashMap<_, _> =
        snapshot.orders.iter().map(|order| (order.order_id, order)).collect();
    let payments: HashMap<_, _> =
        snapshot.payments.iter().map(|payment| (payment.payment_id, payment)).collect();
    let mut seen = HashSet::new();
    let wrong = |call: &crate::history::Invocation| match &call.command {
        Command::CancelOrder { order_id } => {
            wrong_cancel(*order_id, &call.answer, orders.get(order_id).copied())
        }
        Command::ProcessPayment { payment_id } => {
            let payment = payments.get(payment_id).copied();
            let order = payment.and_then(|payment| orders.get(&payment.order_id).copied());
            wrong_payment(*payment_id, &call.answer, payment, order)
        }
        Command::CreateOrder { .. } | Command::SetStock { .. } | Command::AdjustStock { .. } => {
            None
        }
    };
    let found = history.invocations.iter().filter_map(wrong);
    found.filter(|violation| seen.insert(violation.sentence.clone())).collect()
}

fn wrong_cancel(order_id: Uuid, answer: &Answer, order: Option<&Order>) -> Option<Violation> {
    let says = match (answer, order) {
        (Answer::Unknown, _) => return None,
        (Answer::Ok(_), None) => "was acknowledged as cancelled and does not exist".to_owned(),
        (Answer::Ok(_), Some(order)) => match (order.state, order.is_paid) {
            (OrderState::Completed, false) => {
                "was acknowledged as cancelled and is COMPLETED, not paid".to_owned()
            }
            // A payment came first, or the cancel is under way, which I-5 tells of.
            (OrderState::Completed, true)
            | (OrderState::Cancelling | OrderState::Cancelled | OrderState::NeedsAttention, _) => {
                return None;
            }
            (OrderState::DecreasingStock | OrderState::CreatingPayment, _) => {
                format!("was acknowledged as cancelled and is {}", order.state.name())
            }
        },
        (Answer::Refused { reason, .. }, order) => match (reason.as_str(), order) {
            ("ORDER_ALREADY_PAID", Some(order)) if !order.is_paid => {
                "was refused to be cancelled as paid, and is not paid".to_owned()
            }
            ("ORDER_NOT_FOUND", Some(_)) => {
                "exists, and a cancel was told that it does not".to_owned()
            }
            (_, Some(_) | None) => return None,
        },
    };
    Some(Violation::of_order(order_id, says))
}

fn wrong_payment(
    payment_id: Uuid,
    answer: &Answer,
    payment: Option<&Payment>,
    order: Option<&Order>,
) -> Option<Violation> {
    let Answer::Ok(reply) = answer else { return None };
    let order_id = match reply {
        Reply::Payment { order_id, .. } => Some(*order_id),
        Reply::Order { .. } | Reply::Stock { .. } => None,
    };
    let sentence = match (payment, order) {
        (None, _) => format!("payment {payment_id} was acknowledged as paid and does not exist"),
        (Some(payment), _) if payment.state != PaymentState::Paid => {
            format!("payment {payment_id} was acknowledged as paid and is {}", payment.state.name())
        }
        (Some(_), Some(order)) if order.is_paid => return None,
        (Some(payment), _) => format!(
            "payment {payment_id} was acknowledged as paid, and order {} is not paid",
            payment.order_id
        ),
    };
    Some(Violation::new(order_id, sentence))
}

/// No order since `since` was cancelled or paid unless a caller had asked.
pub(super) fn were_asked_for(
    snapshot: &Snapshot,
    history: &History,
    since: SystemTime,
) -> Vec<Violation> {
    let (mut cancelled, mut paid) = (HashSet::new(), HashSet::new());
    let heard = history.invocations.iter();
    // One that was refused before may have been carried out later only if somebody asked again.
    for call in heard.filter(|call| !matches!(call.answer, Answer::Refused { .. })) {
        match &call.command {
            Command::CancelOrder { order_id } => _ = cancelled.insert(*order_id),
            Command::ProcessPayment { payment_id } => _ = paid.insert(*payment_id),
            Command::CreateOrder { .. }
            | Command::SetStock { .. }
            | Command::AdjustStock { .. } => {}
        }
    }
    let recent = snapshot.orders.iter().filter(|order| order.created_at >= since);
    let wrong = |order: &Order| {
        let by_caller = order.failure_reason.as_deref() == Some(BY_CALLER);
        let says = if by_caller && !cancelled.contains(&order.order_id) {
            "was cancelled by a caller, and no caller has asked for it"
        } else if order.is_paid && order.payment_id.is_some_and(|id| !paid.contains(&id)) {
            "is paid, and no caller has paid it"
        } else {
            return None;
        };
        Some(Violation::of_order(order.order_id, says))
    };
    recent.filter_map(wrong).collect()
}
