//! Each step of a saga is announced at most once, and no event has caused two of a kind.

use std::collections::BTreeMap;

use proto::store::{
    orders::events::v1::order_event::Event as Order,
    payments::events::v1::payment_event::Event as Payment,
    stock::events::v1::stock_event::Event as Stock,
};
use uuid::Uuid;

use crate::audit::{Content, Row, Snapshot, Violation};

/// The steps that were announced more than once.
pub(super) fn announced_once(snapshot: &Snapshot) -> Vec<Violation> {
    let mut steps: BTreeMap<(Uuid, &str), Vec<&Row>> = BTreeMap::new();
    let mut effects: BTreeMap<(Uuid, &str), Vec<&Row>> = BTreeMap::new();
    for row in &snapshot.outbox {
        if let Some((order_id, step)) = row.order_id().zip(step(&row.content())) {
            steps.entry((order_id, step)).or_default().push(row);
        }
        if let Some(cause) = row.cause {
            effects.entry((cause, row.event_type.as_str())).or_default().push(row);
        }
    }
    let steps = steps.into_iter().filter(|(_, rows)| rows.len() > 1);
    let mut violations: Vec<_> = steps
        .map(|((order_id, step), rows)| {
            Violation::of_order(order_id, format!("has {step} more than once: {}", names(&rows)))
        })
        .collect();
    let effects = effects.into_iter().filter(|(_, rows)| rows.len() > 1);
    violations.extend(effects.map(|((cause, _), rows)| {
        let sentence = format!("event {cause} has had its effect more than once: {}", names(&rows));
        Violation::new(rows[0].order_id(), sentence)
    }));
    violations
}

fn names(rows: &[&Row]) -> String {
    let names = rows.iter().map(|row| format!("{} {}", row.event_name(), row.event_id));
    names.collect::<Vec<_>>().join(" and ")
}

/// What an event tells of that comes once in a saga; I-5 counts the ends.
fn step(content: &Content) -> Option<&'static str> {
    match content {
        Content::Order(Order::OrderCreated(_) | Order::OrderCreationFailed(_)) => {
            Some("its creation")
        }
        Content::Order(Order::OrderCancelled(_)) => Some("its cancellation"),
        Content::Stock(Stock::StockDecreased(_) | Stock::StockDecreaseFailed(_)) => {
            Some("its stock taken or refused")
        }
        Content::Stock(Stock::StockIncreased(_)) => Some("its stock given back"),
        Content::Stock(Stock::StockIncreaseFailed(_)) => Some("its stock not given back"),
        Content::Payment(Payment::PaymentCreated(_) | Payment::PaymentCreationFailed(_)) => {
            Some("its payment accepted or refused")
        }
        Content::Payment(Payment::PaymentProcessed(_) | Payment::PaymentCancelled(_)) => {
            Some("its payment paid or cancelled")
        }
        // Asked for again where a payment became known after the order was given up.
        Content::Order(Order::OrderCancellationRequested(_))
        | Content::Order(Order::SagaCompleted(_))
        | Content::Stock(Stock::StockSet(_))
        | Content::Product(_)
        | Content::User(_)
        | Content::Unreadable => None,
    }
}
