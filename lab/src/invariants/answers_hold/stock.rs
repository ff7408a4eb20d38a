//! What callers of `SetStock` and `AdjustStock` were told: each answer is a change that was made, once.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use proto::store::stock::events::v1::{StockLine, stock_event::Event};
use uuid::Uuid;

use super::Request;
use crate::{
    audit::{Content, Owner, Row, Snapshot, Violation},
    history::{Command, Reply},
};

/// A product, and which change of its stock.
type Change = (Uuid, i64);

/// Each acknowledged change was made: the stock had the quantity that was told, by the difference that was asked for, and no
/// two requests were told of one adjustment.
pub(super) fn answers_hold(snapshot: &Snapshot, requests: &[Request<'_>]) -> Vec<Violation> {
    let (changes, by_hand) = changes(snapshot);
    let mut adjusted: HashMap<Change, Uuid> = HashMap::new();
    let mut violations = Vec::new();
    for request in requests {
        for (change, told) in request.replies.iter().filter_map(|reply| change(reply)) {
            let (product_id, version) = change;
            let made = changes.get(&change);
            let says = match request.command {
                Command::SetStock { quantity, .. } if told != *quantity => {
                    format!("was to be set to {quantity}, and {told} was answered")
                }
                // A quantity that was there already is no change; it may be the one at the start.
                Command::SetStock { .. } if made.is_none_or(|line| line.quantity_after == told) => {
                    continue;
                }
                Command::SetStock { .. } => {
                    format!("was acknowledged as {told} at change {version}, when it was not")
                }
                Command::AdjustStock { difference, .. } => {
                    let is_right = by_hand.contains_key(&change)
                        && made.is_some_and(|line| {
                            (line.quantity, line.quantity_after) == (*difference, told)
                        });
                    match adjusted.insert(change, request.id) {
                        Some(other) => {
                            format!("was adjusted once for requests {other} and {}", request.id)
                        }
                        None if is_right => continue,
                        None => format!(
                            "was not adjusted by {difference} to {told}, as was acknowledged"
                        ),
                    }
                }
                Command::CreateOrder { .. }
                | Command::CancelOrder { .. }
                | Command::ProcessPayment { .. } => continue,
            };
            violations
                .push(Violation::new(None, format!("the stock of product {product_id} {says}")));
        }
    }
    violations
}

/// No stock was changed by hand since `since` unless a caller had asked, and not twice for one request. Of the rows' clock, which may
/// go wrong later, only the first row since then is asked: those that follow are told by their numbers.
pub(super) fn every_change_was_asked_for(
    snapshot: &Snapshot,
    requests: &[Request<'_>],
    since: SystemTime,
) -> Vec<Violation> {
    let outcomes = requests.iter().filter_map(|request| request.outcome(snapshot));
    let asked_for: HashSet<_> = outcomes.filter_map(|reply| Some(change(reply)?.0)).collect();
    let (_, by_hand) = changes(snapshot);
    let of_stock = snapshot.outbox.iter().filter(|row| row.owner == Owner::StoreManager);
    let since_then = of_stock.filter(|row| row.created_at >= since).map(|row| row.sequence);
    let Some(first) = since_then.min() else { return Vec::new() };
    let is_strange =
        |(change, row): &(&Change, &&Row)| row.sequence >= first && !asked_for.contains(change);
    let mut strange: Vec<_> =
        by_hand.iter().filter(is_strange).map(|(change, _)| *change).collect();
    strange.sort_unstable();
    let sentence = |(product_id, version): Change| {
        format!(
            "change {version} of the stock of product {product_id} was made by hand though no caller had asked for it, or \
             had asked once and got another"
        )
    };
    strange.into_iter().map(|change| Violation::new(None, sentence(change))).collect()
}

fn change(reply: &Reply) -> Option<(Change, i64)> {
    match reply {
        Reply::Stock { product_id, quantity, version } => {
            Some(((*product_id, *version), *quantity))
        }
        Reply::Order { .. } | Reply::Payment { .. } => None,
    }
}

/// Every change of stock, and those by hand with their rows.
fn changes(snapshot: &Snapshot) -> (HashMap<Change, StockLine>, HashMap<Change, &Row>) {
    let (mut all, mut by_hand) = (HashMap::new(), HashMap::new());
    for row in &snapshot.outbox {
        let Content::Stock(event) = row.content() else { continue };
        let lines = match event {
            Event::StockDecreased(event) => event.lines,
            Event::StockIncreased(event) => event.lines,
            Event::StockSet(event) => {
                by_hand.extend(event.line.iter().filter_map(|line| Some((place(line)?, row))));
                Vec::from_iter(event.line)
            }
            Event::StockDecreaseFailed(_) | Event::StockIncreaseFailed(_) => Vec::new(),
        };
        all.extend(lines.into_iter().filter_map(|line| Some((place(&line)?, line))));
    }
    (all, by_hand)
}

fn place(line: &StockLine) -> Option<Change> {
    Some((line.product_id.parse().ok()?, line.stock_version))
}
