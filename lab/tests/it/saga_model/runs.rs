//! Runs of the model. Each prints how many states it has been through.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use super::{
    bounds::{Bounds, Flaw},
    promises::{CONTENTION, OUTCOMES, PAYMENTS_AGREE, STOCK_ADDS_UP},
};

/// One order, and every event may come again: nobody remembers ids, the states have to do.
const ALONE: Bounds = Bounds { orders: 1, stock: 1, inbox: false, flaw: None, sights: OUTCOMES };

/// Two orders for one unit.
const CONTENDING: Bounds = Bounds { orders: 2, sights: CONTENTION, ..ALONE };

/// Two orders, and a unit for each.
const PLENTY: Bounds = Bounds { stock: 2, sights: OUTCOMES, ..CONTENDING };

/// Two for one, and an event that comes again is recognised.
const REMEMBERING: Bounds = Bounds { inbox: true, ..CONTENDING };

/// Goes through all orders of steps, up to the first broken promise: every promise holds, and each sight is seen.
fn holds(bounds: Bounds) {
    let until = HasDiscoveries::AnyFailures;
    let checker = bounds.checker().finish_when(until).threads(2).spawn_bfs().join();
    println!("{} states, {} unique", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

/// Goes through the orders of steps until one breaks the promise.
fn caught(flaw: Flaw, bounds: Bounds, promise: &'static str) {
    let broken = Bounds { flaw: Some(flaw), sights: &[], ..bounds };
    let until = HasDiscoveries::AnyOf(BTreeSet::from([promise]));
    let checker = broken.checker().finish_when(until).spawn_bfs().join();
    let path = checker.discovery(promise);
    let path = path.unwrap_or_else(|| panic!("{flaw:?} is not caught: {promise} seems to hold"));
    let steps: Vec<String> = path.into_actions().iter().map(|step| format!("  {step:?}")).collect();
    println!("{flaw:?} breaks \"{promise}\":\n{}", steps.join("\n"));
}

#[test]
fn one_order_ends_right_whatever_is_repeated_without_an_inbox() {
    holds(ALONE);
}

#[test]
fn two_orders_over_one_product_end_right_in_every_order_of_steps() {
    holds(CONTENDING);
}

#[test]
fn two_orders_that_both_find_their_unit_end_right() {
    holds(PLENTY);
}

#[test]
fn two_orders_over_one_product_end_right_with_an_inbox_too() {
    holds(REMEMBERING);
}

#[test]
fn a_saga_without_inbox_and_without_looking_at_the_state_is_caught() {
    caught(Flaw::RepeatsCount, Bounds { stock: 2, ..ALONE }, STOCK_ADDS_UP);
}

#[test]
fn a_saga_that_restocks_twice_is_caught() {
    caught(Flaw::RestocksTwice, REMEMBERING, STOCK_ADDS_UP);
}

#[test]
fn a_saga_whose_cancel_is_not_decided_by_payments_is_caught() {
    caught(Flaw::CancelsAlone, ALONE, PAYMENTS_AGREE);
}
