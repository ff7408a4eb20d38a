//! The rows of orders are what the announced events have made of them, and came there step by step.

use std::collections::{BTreeMap, HashMap, HashSet};

use proto::store::{
    payments::events::v1::payment_event::Event as PaymentEvent,
    stock::events::v1::{StockLine, stock_event::Event as StockEvent},
};
use uuid::Uuid;

use crate::audit::{Content, Order, OrderState, Snapshot, Violation};

/// What was announced of one order.
#[derive(Clone, Debug, Default)]
struct Announced {
    taken: Option<Vec<StockLine>>,
    given_back: bool,
    paid: bool,
    payment_id: Option<Uuid>,
}

/// The orders that went where no step leads.
pub(super) fn follow(snapshot: &Snapshot) -> Vec<Violation> {
    let mut states: HashMap<Uuid, Vec<OrderState>> = HashMap::new();
    for reached in &snapshot.order_states {
        states.entry(reached.order_id).or_default().push(reached.state);
    }
    let wrong = |order: &Order| {
        let path = states.get(&order.order_id).map(Vec::as_slice).unwrap_or_default();
        let step = path.windows(2).find(|step| !leads(step[0], step[1]));
        let says = match (path.first(), path.last(), step) {
            (_, _, Some(step)) => format!("went from {} to {}", step[0].name(), step[1].name()),
            (Some(OrderState::DecreasingStock), Some(last), None) if *last == order.state => {
                return None;
            }
            (_, last, None) => {
                let last = last.map_or("no state", |last| last.name());
                format!("is {}, and its states end with {last}", order.state.name())
            }
        };
        Some(Violation::of_order(order.order_id, says))
    };
    snapshot.orders.iter().filter_map(wrong).collect()
}

/// Whether one step of the saga leads from a state to another.
fn leads(from: OrderState, to: OrderState) -> bool {
    use OrderState::{
        Cancelled, Cancelling, Completed, CreatingPayment, DecreasingStock, NeedsAttention,
    };
    match from {
        DecreasingStock => matches!(to, CreatingPayment | Cancelling | Cancelled),
        CreatingPayment => matches!(to, Completed | Cancelling | NeedsAttention),
        Completed => matches!(to, Cancelling),
        Cancelling => matches!(to, Cancelled | Completed | NeedsAttention),
        NeedsAttention => matches!(to, Cancelling),
        Cancelled => false,
    }
}

/// The orders whose rows are not what was announced.
pub(super) fn are_as_announced(snapshot: &Snapshot) -> Vec<Violation> {
    let announced = announced(snapshot);
    let mut lines: HashMap<Uuid, BTreeMap<String, i64>> = HashMap::new();
    for line in &snapshot.lines {
        let of_order = lines.entry(line.order_id).or_default();
        of_order.insert(line.product_id.to_string(), line.quantity.into());
    }
    let with_payment: HashSet<_> =
        snapshot.payments.iter().map(|payment| payment.order_id).collect();
    let wrong = |order: &Order| {
        let of = announced.get(&order.order_id).cloned().unwrap_or_default();
        let taken = of.taken.as_deref().map(quantities);
        let says = if order.stock_taken != (taken.is_some() && !of.given_back) {
            let is = if order.stock_taken { "holds" } else { "does not hold" };
            format!("{is} its stock, which is not what was announced")
        } else if taken.is_some() && taken.as_ref() != lines.get(&order.order_id) {
            "has taken other quantities than were ordered".to_owned()
        } else if taken.is_some() && !with_payment.contains(&order.order_id) {
            "has taken its stock, and payments has no payment for it".to_owned()
        } else if of.payment_id.is_some() && of.payment_id != order.payment_id {
            "does not have the payment that was created for it".to_owned()
        } else if order.is_paid != of.paid {
            let is = if order.is_paid { "paid" } else { "not paid" };
            format!("is {is}, which is not what was announced")
        } else {
            return None;
        };
        Some(Violation::of_order(order.order_id, says))
    };
    snapshot.orders.iter().filter_map(wrong).collect()
}

fn quantities(lines: &[StockLine]) -> BTreeMap<String, i64> {
    lines.iter().map(|line| (line.product_id.clone(), line.quantity)).collect()
}

fn announced(snapshot: &Snapshot) -> HashMap<Uuid, Announced> {
    let mut announced: HashMap<Uuid, Announced> = HashMap::new();
    for row in &snapshot.outbox {
        let Some(order_id) = row.order_id() else { continue };
        let of = announced.entry(order_id).or_default();
        match row.content() {
            Content::Stock(StockEvent::StockDecreased(event)) => of.taken = Some(event.lines),
            Content::Stock(StockEvent::StockIncreased(_)) => of.given_back = true,
            Content::Payment(PaymentEvent::PaymentCreated(event)) => {
                of.payment_id = event.payment_id.parse().ok();
            }
            Content::Payment(PaymentEvent::PaymentProcessed(_)) => of.paid = true,
            Content::Stock(
                StockEvent::StockDecreaseFailed(_)
                | StockEvent::StockIncreaseFailed(_)
                | StockEvent::StockSet(_),
            )
            | Content::Payment(
                PaymentEvent::PaymentCreationFailed(_) | PaymentEvent::PaymentCancelled(_),
            )
            | Content::Order(_)
            | Content::Product(_)
            | Content::User(_)
            | Content::Unreadable => {}
        }
    }
    announced
}
