//! I-6: what is on hand and what orders hold is what there was at the start and what was added or taken away by hand; never
//! negative. And by the events: each change of a product's stock was announced once, and they lead to what is on hand.

use std::collections::{BTreeMap, BTreeSet};

use proto::store::{
    products::events::v1::product_event::Event as ProductEvent,
    stock::events::v1::{StockLine, stock_event::Event as StockEvent},
};
use uuid::Uuid;

use crate::audit::{Content, Evidence, Findings, Snapshot, Stock, Violation};

/// What was announced of one product's stock.
#[derive(Clone, Debug, Default)]
pub(super) struct Movements {
    /// The changes in the order in which they were announced.
    changes: Vec<Change>,
    /// By how much it was set or adjusted by hand.
    by_hand: i64,
    /// Whether the product was removed, and its stock with it.
    removed: bool,
}

/// A change of a product's stock.
#[derive(Clone, Copy, Debug)]
struct Change {
    difference: i64,
    after: i64,
    version: i64,
}

/// The products whose stock does not add up.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let movements = movements(snapshot);
    let held = held(snapshot);
    let stock: BTreeMap<_, _> = snapshot.stock.iter().map(|row| (row.product_id, row)).collect();
    let mut products: BTreeSet<_> = movements.keys().chain(held.keys()).copied().collect();
    products.extend(stock.keys().chain(snapshot.initial_stock.keys()));
    let mut violations = Vec::new();
    for product_id in &products {
        let of = movements.get(product_id).cloned().unwrap_or_default();
        let held = held.get(product_id).copied().unwrap_or_default();
        let start = snapshot.initial_stock.get(product_id).copied();
        let row = stock.get(product_id).copied();
        violations.extend(wrong_sum(*product_id, row, &of, held, start.unwrap_or_default()));
        violations.extend(wrong_changes(*product_id, row, &of, start));
    }
    let changes = movements.values().map(|of| of.changes.len()).sum();
    let counted =
        vec![(products.len(), "products"), (snapshot.orders.len(), "orders"), (changes, "changes")];
    Findings { counted, violations }
}

fn wrong_sum(
    product_id: Uuid,
    row: Option<&Stock>,
    of: &Movements,
    held: i64,
    start: i64,
) -> Option<Violation> {
    let sentence = match row {
        None if of.removed => return None,
        None => format!("product {product_id} has no stock any more, and was not removed"),
        Some(Stock { quantity, .. }) if *quantity < 0 => {
            format!("product {product_id} has {quantity} on hand")
        }
        Some(Stock { quantity, .. }) if quantity + held != start + of.by_hand => format!(
            "product {product_id} has {quantity} on hand and {held} held by orders, which is not the {start} at the start \
             and {} added by hand",
            of.by_hand
        ),
        Some(_) => return None,
    };
    Some(Violation::new(None, sentence))
}

/// The first change that was not announced, or twice, or does not follow from the one before.
fn wrong_changes(
    product_id: Uuid,
    row: Option<&Stock>,
    of: &Movements,
    start: Option<i64>,
) -> Option<Violation> {
    let mut changes = of.changes.clone();
    changes.sort_by_key(|change| change.version);
    // Of what was there before the first event, the version is not known.
    let first = match (start, changes.first()) {
        (Some(_), Some(change)) => change.version - 1,
        (Some(_), None) | (None, _) => 0,
    };
    let (mut version, mut quantity) = (first, start.unwrap_or_default());
    for change in &changes {
        let says = if change.version == version {
            "was announced twice"
        } else if change.version != version + 1 {
            "was announced, and the one before was not"
        } else if change.after != quantity + change.difference {
            "does not follow from the one before"
        } else {
            (version, quantity) = (change.version, change.after);
            continue;
        };
        let sentence =
            format!("change {} of the stock of product {product_id} {says}", change.version);
        return Some(Violation::new(None, sentence));
    }
    let row = row.filter(|row| !changes.is_empty() && row.version != version)?;
    let sentence = format!(
        "the stock of product {product_id} was changed {} times, and {version} times that was announced",
        row.version
    );
    Some(Violation::new(None, sentence))
}

/// How many of each product orders hold.
fn held(snapshot: &Snapshot) -> BTreeMap<Uuid, i64> {
    let taken: BTreeSet<_> = snapshot
        .orders
        .iter()
        .filter(|order| order.stock_taken)
        .map(|order| order.order_id)
        .collect();
    let mut held = BTreeMap::new();
    for line in snapshot.lines.iter().filter(|line| taken.contains(&line.order_id)) {
        *held.entry(line.product_id).or_default() += i64::from(line.quantity);
    }
    held
}

fn movements(snapshot: &Snapshot) -> BTreeMap<Uuid, Movements> {
    let mut movements: BTreeMap<Uuid, Movements> = BTreeMap::new();
    for row in &snapshot.outbox {
        match row.content() {
            Content::Stock(StockEvent::StockDecreased(event)) => {
                event.lines.iter().for_each(|line| add(&mut movements, line, -line.quantity, 0));
            }
            Content::Stock(StockEvent::StockIncreased(event)) => {
                event.lines.iter().for_each(|line| add(&mut movements, line, line.quantity, 0));
            }
            Content::Stock(StockEvent::StockSet(event)) => {
                let line = event.line.unwrap_or_default();
                add(&mut movements, &line, line.quantity, line.quantity);
            }
            Content::Product(ProductEvent::ProductDeleted(event)) => {
                movements.entry(id(&event.product_id)).or_default().removed = true;
            }
            Content::Stock(
                StockEvent::StockDecreaseFailed(_) | StockEvent::StockIncreaseFailed(_),
            )
            | Content::Product(ProductEvent::ProductCreated(_))
            | Content::Order(_)
            | Content::Payment(_)
            | Content::User(_)
            | Content::Unreadable => {}
        }
    }
    movements
}

fn add(movements: &mut BTreeMap<Uuid, Movements>, line: &StockLine, difference: i64, by_hand: i64) {
    let of = movements.entry(id(&line.product_id)).or_default();
    of.by_hand += by_hand;
    of.changes.push(Change { difference, after: line.quantity_after, version: line.stock_version });
}

/// What a service announces is an id; anything else is the nil id, which nothing has.
fn id(text: &str) -> Uuid {
    text.parse().unwrap_or_default()
}
