//! saga.md held against the services' own decisions.

use std::collections::{BTreeSet, HashSet};

use proto::store::orders::v1::order::State;
use store_manager::domain::{
    order::OrderState,
    saga::{Input, Outcome, Situation},
};

use super::{
    event::Event,
    orders::{input, line, row},
    world::Order,
};
use crate::docs::{assert_same, read, rows};

/// All that store-manager handles.
const EVENTS: [Event; 8] = [
    Event::OrderCreated,
    Event::OrderCancelled,
    Event::StockDecreaseFailed,
    Event::StockIncreased,
    Event::PaymentCreated,
    Event::PaymentCreationFailed,
    Event::PaymentProcessed,
    Event::PaymentCancelled,
];

#[test]
fn saga_md_says_where_an_order_may_go_from_each_state() {
    let mut documented = BTreeSet::new();
    for cells in rows(&read("docs/saga.md"), "State") {
        documented.insert(cells[0].clone());
        let words = cells[3].split([' ', ',']).filter(|word| word.starts_with(char::is_uppercase));
        let states = words.filter(|word| !word.contains(char::is_lowercase));
        documented.extend(states.map(|state| format!("{} to {state}", cells[0])));
    }
    assert_same(&moves(), &documented, "saga.md, states");
}

/// Every state that can be reached from an order that was placed, and every way from one to another, whatever comes in whichever
/// order and whatever is on hand.
fn moves() -> BTreeSet<String> {
    let mut order = Order::default();
    order.place();
    let mut open = Vec::from_iter(order.situation);
    let mut seen = HashSet::new();
    let mut found = BTreeSet::new();
    while let Some(situation) = open.pop() {
        if !seen.insert(situation) {
            continue;
        }
        found.insert(name(situation.state).to_owned());
        for next in nexts(situation) {
            if next.state != situation.state {
                found.insert(format!("{} to {}", name(situation.state), name(next.state)));
            }
            open.push(next);
        }
    }
    found
}

fn nexts(situation: Situation) -> Vec<Situation> {
    let inputs = EVENTS.into_iter().map(input).chain([Input::CancelOrder]);
    let steps = inputs.filter_map(|input| match situation.decide(input) {
        Outcome::Applies(step) | Outcome::TooLate(step) => Some(step),
        Outcome::AlreadyDone | Outcome::Impossible => None,
    });
    let results = steps.flat_map(|step| {
        // Enough, too little, and a product that is gone.
        [Some(1), Some(0), None].map(|on_hand| {
            let mut row = row(situation);
            step.clone().perform(&mut row, &[line(on_hand)]);
            Situation::from(&row)
        })
    });
    results.collect()
}

fn name(state: OrderState) -> &'static str {
    State::from(state).as_str_name().trim_start_matches("STATE_")
}
