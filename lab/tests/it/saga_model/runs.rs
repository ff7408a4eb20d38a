//! Runs of the model. Each prints how many states it has been through.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::{
    bounds::{Bounds, Flaw},
    promises::{
        ALL_END, CHARGED_RIGHT, CONTENTION, ENDED_ONCE, NOTHING_IMPOSSIBLE, OUTCOMES,
        PAYMENTS_AGREE, STOCK_ADDS_UP,
    },
    steps::Step,
    world::World,
};

/// One order, and every event may come again: nobody remembers ids, the states have to do.
const ALONE: Bounds = Bounds { orders: 1, stock: 1, inbox: false, flaw: None, sights: OUTCOMES };

/// One order, and an event that comes again is recognised.
const ALONE_REMEMBERING: Bounds = Bounds { inbox: true, ..ALONE };

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
    let until = HasDiscoveries::AnyOf(BTreeSet::from([promise]));
    let checker = broken(flaw, bounds).checker().finish_when(until).spawn_bfs().join();
    assert_caught(flaw, promise, checker.discoveries().remove(promise));
}

/// Goes through all orders of steps: the promise is broken, and no other one ever.
fn caught_by_nothing_else(flaw: Flaw, bounds: Bounds, promise: &'static str) {
    let checker = broken(flaw, bounds).checker().spawn_bfs().join();
    let mut found = checker.discoveries();
    assert_caught(flaw, promise, found.remove(promise));
    let others: Vec<_> = found.keys().collect();
    assert!(others.is_empty(), "{flaw:?} breaks {others:?} too");
}

fn broken(flaw: Flaw, bounds: Bounds) -> Bounds {
    Bounds { flaw: Some(flaw), sights: &[], ..bounds }
}

fn assert_caught(flaw: Flaw, promise: &str, path: Option<Path<World, Step>>) {
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
    caught_by_nothing_else(Flaw::RestocksTwice, REMEMBERING, STOCK_ADDS_UP);
}

#[test]
fn a_saga_whose_cancel_is_not_decided_by_payments_is_caught() {
    caught(Flaw::CancelsAlone, ALONE, PAYMENTS_AGREE);
}

#[test]
fn a_saga_that_loses_an_event_is_caught() {
    caught_by_nothing_else(Flaw::LosesAnEvent, ALONE, ALL_END);
}

#[test]
fn a_saga_that_forgets_that_it_has_ended_is_caught() {
    caught_by_nothing_else(Flaw::ForgetsTheEnd, ALONE_REMEMBERING, ENDED_ONCE);
}

#[test]
fn a_saga_that_announces_a_cancel_before_it_is_decided_is_caught() {
    caught_by_nothing_else(Flaw::AnnouncesTooEarly, ALONE, NOTHING_IMPOSSIBLE);
}

#[test]
fn a_provider_that_charges_again_is_caught() {
    caught_by_nothing_else(Flaw::ChargesAgain, ALONE, CHARGED_RIGHT);
}
