//! What callers of `CreateOrder` were told: what was acknowledged exists once, as it was asked for; what was refused does not.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::SystemTime,
};

use proto::store::orders::events::v1::order_event::Event;
use uuid::Uuid;

use super::Request;
use crate::{
    audit::{Content, Order, Row, Snapshot, Violation},
    history::{Command, Line, Reply},
};

/// The reasons of a refusal that is announced.
const ANNOUNCED: [&str; 2] = ["PRODUCT_NOT_FOUND", "USER_NOT_FOUND"];

/// Each acknowledged order exists, for who asked for it and of what was asked for, and no other request was told of it; a
/// refusal for what is not known was announced.
pub(super) fn answers_hold(snapshot: &Snapshot, requests: &[Request<'_>]) -> Vec<Violation> {
    let orders: HashMap<_, _> =
        snapshot.orders.iter().map(|order| (order.order_id, order)).collect();
    let lines = lines(snapshot);
    let refused: HashSet<_> =
        snapshot.refusals.iter().filter_map(|refusal| refusal.request_id).collect();
    let mut told: HashMap<Uuid, Uuid> = HashMap::new();
    let mut violations = Vec::new();
    for request in requests {
        let Command::CreateOrder { user_id, lines: asked, .. } = request.command else { continue };
        for reply in &request.replies {
            let Some(order_id) = order_id(reply) else { continue };
            let says = match (orders.get(&order_id), told.insert(order_id, request.id)) {
                (None, _) => "was acknowledged and does not exist".to_owned(),
                (_, Some(other)) => {
                    format!("was acknowledged to requests {other} and {}", request.id)
                }
                (Some(order), None) if order.user_id != *user_id => {
                    format!("is of user {}, not of {user_id} who asked for it", order.user_id)
                }
                (Some(_), None)
                    if lines.get(&order_id) != Some(&asked.iter().copied().collect()) =>
                {
                    "has other lines than were asked for".to_owned()
                }
                (Some(_), None) => continue,
            };
            violations.push(Violation::of_order(order_id, says));
        }
        let is_announced = request.refusals.iter().any(|reason| ANNOUNCED.contains(reason));
        if request.is_refused() && is_announced && !refused.contains(&request.id) {
            let sentence = format!("request {} was refused, and nobody was told", request.id);
            violations.push(Violation::new(None, sentence));
        }
    }
    violations
}

/// An answer that the store has kept is of an order that exists.
pub(super) fn kept_answers_hold(snapshot: &Snapshot) -> Vec<Violation> {
    let orders: HashSet<_> = snapshot.orders.iter().map(|order| order.order_id).collect();
    let kept = snapshot.answers.iter().filter_map(|(id, reply)| Some((id, order_id(reply)?)));
    let lost = kept.filter(|(_, order_id)| !orders.contains(order_id));
    lost.map(|(id, order_id)| {
        Violation::of_order(order_id, format!("is the answer to request {id} and does not exist"))
    })
    .collect()
}

/// An order that could not be placed has left OrderCreationFailed and SagaCompleted, and nothing else. How many SagaCompleted
/// is I-5's matter, and how many OrderCreationFailed I-4's.
pub(super) fn refused_orders_left_nothing(snapshot: &Snapshot) -> Vec<Violation> {
    let mut refused: BTreeSet<Uuid> = BTreeSet::new();
    let mut left: BTreeMap<Uuid, &Row> = BTreeMap::new();
    for row in &snapshot.outbox {
        let Some(order_id) = row.order_id() else { continue };
        match row.content() {
            Content::Order(Event::OrderCreationFailed(_)) => {
                refused.insert(order_id);
            }
            Content::Order(Event::SagaCompleted(_)) => {}
            Content::Order(_)
            | Content::Stock(_)
            | Content::Payment(_)
            | Content::Product(_)
            | Content::User(_)
            | Content::Unreadable => {
                left.insert(order_id, row);
            }
        }
    }
    let orders: HashSet<_> = snapshot.orders.iter().map(|order| order.order_id).collect();
    let wrong = |order_id: Uuid| {
        if orders.contains(&order_id) {
            return Some(Violation::of_order(order_id, "was refused and exists"));
        }
        let row = left.get(&order_id)?;
        let says = format!("was refused, and {} was announced of it", row.event_name());
        Some(Violation::of_order(order_id, says))
    };
    refused.into_iter().filter_map(wrong).collect()
}

/// No order since `since` was placed that no caller has asked for, and none twice for one request.
pub(super) fn every_order_was_asked_for(
    snapshot: &Snapshot,
    requests: &[Request<'_>],
    since: SystemTime,
) -> Vec<Violation> {
    let outcomes = requests.iter().filter_map(|request| request.outcome(snapshot));
    let asked_for: HashSet<_> = outcomes.filter_map(order_id).collect();
    let is_strange =
        |order: &&Order| order.created_at >= since && !asked_for.contains(&order.order_id);
    let strange = snapshot.orders.iter().filter(is_strange);
    let says = "was placed though no caller had asked for it, or had asked once and got another";
    strange.map(|order| Violation::of_order(order.order_id, says)).collect()
}

fn lines(snapshot: &Snapshot) -> HashMap<Uuid, BTreeSet<Line>> {
    let mut lines: HashMap<Uuid, BTreeSet<Line>> = HashMap::new();
    for line in &snapshot.lines {
        let asked = Line { product_id: line.product_id, quantity: line.quantity };
        lines.entry(line.order_id).or_default().insert(asked);
    }
    lines
}

fn order_id(reply: &Reply) -> Option<Uuid> {
    match reply {
        Reply::Order { order_id, .. } => Some(*order_id),
        Reply::Payment { .. } | Reply::Stock { .. } => None,
    }
}
