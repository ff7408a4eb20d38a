//! Nothing but what the saga names cancels an order or has it need attention.

use std::collections::{HashMap, HashSet};

use proto::store::{
    orders::events::v1::order_event::Event as OrderEvent,
    payments::events::v1::payment_event::Event as PaymentEvent,
    stock::events::v1::stock_event::Event as StockEvent,
};
use uuid::Uuid;

use crate::audit::{Content, Order, OrderState, Row, Snapshot, Violation};

/// Why an order may fail; as `orders.failure_reason` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reason {
    InsufficientStock,
    PaymentRefused,
    CancelledByCaller,
    StockIncreaseFailed,
}

/// The orders that were given up without one of the events that are a reason for what they say, and those that need attention
/// though all their stock could be given back.
pub(super) fn missing(snapshot: &Snapshot) -> Vec<Violation> {
    let announced: HashSet<_> =
        snapshot.outbox.iter().filter_map(|row| Some((row.order_id()?, of(row)?))).collect();
    let mut lines: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for line in &snapshot.lines {
        lines.entry(line.order_id).or_default().push(line.product_id);
    }
    let stock: HashSet<_> = snapshot.stock.iter().map(|row| row.product_id).collect();
    let wrong = |order: &Order| {
        let is_announced = |reason: Reason| announced.contains(&(order.order_id, reason));
        let told = order.failure_reason.as_deref();
        let reason = told.and_then(Reason::named);
        let says = match (order.state, reason) {
            (OrderState::Cancelled, Some(reason))
                if reason != Reason::StockIncreaseFailed && is_announced(reason) =>
            {
                return None;
            }
            (OrderState::NeedsAttention, Some(Reason::StockIncreaseFailed))
                if is_announced(Reason::StockIncreaseFailed) =>
            {
                let products = lines.get(&order.order_id).into_iter().flatten();
                if products.into_iter().any(|product_id| !stock.contains(product_id)) {
                    return None;
                }
                "needs attention, and the stock of all its products is there".to_owned()
            }
            (OrderState::Cancelled | OrderState::NeedsAttention, _) => {
                let (state, told) = (order.state.name(), told.unwrap_or("nothing"));
                format!("is {state} for {told}, of which nothing was announced")
            }
            (
                OrderState::DecreasingStock
                | OrderState::CreatingPayment
                | OrderState::Completed
                | OrderState::Cancelling,
                _,
            ) => return None,
        };
        Some(Violation::of_order(order.order_id, says))
    };
    snapshot.orders.iter().filter_map(wrong).collect()
}

impl Reason {
    fn named(name: &str) -> Option<Self> {
        match name {
            "INSUFFICIENT_STOCK" => Some(Self::InsufficientStock),
            "PAYMENT_REFUSED" => Some(Self::PaymentRefused),
            "CANCELLED_BY_CALLER" => Some(Self::CancelledByCaller),
            "STOCK_INCREASE_FAILED" => Some(Self::StockIncreaseFailed),
            _ => None,
        }
    }
}

/// The reason that an event is. What a caller asked for is told by OrderCancellationRequested; where the store could do it at once,
/// by its effect, which no event has caused.
fn of(row: &Row) -> Option<Reason> {
    match row.content() {
        Content::Stock(StockEvent::StockDecreaseFailed(_)) => Some(Reason::InsufficientStock),
        Content::Payment(PaymentEvent::PaymentCreationFailed(_)) => Some(Reason::PaymentRefused),
        Content::Stock(StockEvent::StockIncreaseFailed(_)) => Some(Reason::StockIncreaseFailed),
        Content::Order(OrderEvent::OrderCancellationRequested(_)) => {
            Some(Reason::CancelledByCaller)
        }
        Content::Order(OrderEvent::OrderCancelled(_))
        | Content::Stock(StockEvent::StockIncreased(_))
            if row.cause.is_none() =>
        {
            Some(Reason::CancelledByCaller)
        }
        Content::Order(
            OrderEvent::OrderCreated(_)
            | OrderEvent::OrderCreationFailed(_)
            | OrderEvent::OrderCancelled(_)
            | OrderEvent::SagaCompleted(_),
        )
        | Content::Stock(
            StockEvent::StockDecreased(_) | StockEvent::StockIncreased(_) | StockEvent::StockSet(_),
        )
        | Content::Payment(
            PaymentEvent::PaymentCreated(_)
            | PaymentEvent::PaymentProcessed(_)
            | PaymentEvent::PaymentCancelled(_),
        )
        | Content::Product(_)
        | Content::User(_)
        | Content::Unreadable => None,
    }
}
