//! Every order of events within small bounds. Each test prints how many states it has been through.

use stateright::{Checker, Model};

use crate::core::model::bounds::{Bounds, Delivery, Large};
use crate::core::model::promises::{
    GIVEN_UP, LATE, OUT_OF_ORDER, PARKED, QUIET, RELEASED, SKIPPED, SLEEPS, SUCCEEDED,
};
use crate::core::model::table::Kind;

/// A transaction that is always seen running, by a virtual id only.
const RUNNING: Kind = Kind { idle: false, named: false, two_phase: false };

/// The same, and its transaction id can be read.
const NAMED: Kind = Kind { idle: false, named: true, two_phase: false };

/// Every kind that the relay can tell from another.
const ANY: [Kind; 4] = [
    RUNNING,
    Kind { idle: true, named: true, two_phase: false },
    Kind { idle: true, named: false, two_phase: true },
    Kind { idle: false, named: true, two_phase: true },
];

/// Writers whose rows the relay reads, with records that arrive at once.
pub(super) const READING: Bounds = Bounds {
    numbers: 4,
    transactions: 4,
    open: 3,
    keys: 2,
    kinds: &[RUNNING],
    savepoints: false,
    page_rows: 2,
    large: None,
    in_flight: 0,
    sleeps: false,
    failures: 0,
    poison: false,
    delivery: Delivery::AtLeastOnce,
    flaw: None,
    sights: &[OUT_OF_ORDER, LATE, GIVEN_UP],
};

/// Transactions that idle, are prepared, or roll back to savepoints.
pub(super) const KINDS: Bounds =
    Bounds { numbers: 3, transactions: 3, kinds: &ANY, savepoints: true, ..READING };

/// Transactions that are large, so that what they may fill is left open and not looked up while they are in progress.
pub(super) const LARGE: Bounds = Bounds {
    numbers: 3,
    transactions: 3,
    kinds: &[NAMED],
    large: Some(Large { reach: 2, far: 0, worthwhile: 1 }),
    sights: &[OUT_OF_ORDER, LATE, GIVEN_UP, SKIPPED, QUIET],
    ..READING
};

/// The same with transactions that are prepared, roll back to savepoints, or are not known by their ids.
const LARGE_KINDS: Bounds = Bounds {
    numbers: 2,
    transactions: 2,
    kinds: &[RUNNING, Kind { two_phase: true, ..NAMED }],
    savepoints: true,
    ..LARGE
};

/// The same, while the leader and the producer may fail.
const LARGE_FAILING: Bounds = Bounds {
    numbers: 2,
    transactions: 2,
    kinds: &[NAMED],
    large: LARGE.large,
    sights: &[OUT_OF_ORDER, LATE, SUCCEEDED, SKIPPED, QUIET],
    ..FAILING
};

/// The handshake between writers and a relay that falls asleep.
pub(super) const SLEEPING: Bounds = Bounds {
    numbers: 3,
    transactions: 3,
    kinds: &[RUNNING, ANY[2]],
    sleeps: true,
    sights: &[OUT_OF_ORDER, LATE, GIVEN_UP, SLEEPS],
    ..READING
};

/// A producer that fails, and a leader that is succeeded while its queue is still on its way.
pub(super) const FAILING: Bounds = Bounds {
    numbers: 3,
    transactions: 3,
    open: 2,
    page_rows: 1,
    in_flight: 2,
    failures: 1,
    sights: &[OUT_OF_ORDER, LATE, SUCCEEDED],
    ..READING
};

/// The same, with records and progress in one transaction.
pub(super) const EXACTLY_ONCE: Bounds = Bounds {
    failures: 2,
    delivery: Delivery::ExactlyOnce,
    sights: &[OUT_OF_ORDER, LATE],
    ..FAILING
};

/// An event that Kafka refuses for good, and an operator who mends it.
pub(super) const PARKING: Bounds =
    Bounds { page_rows: 2, failures: 0, poison: true, sights: &[PARKED, RELEASED], ..FAILING };

/// The same for one key, while the leader may change.
const PARKING_FAILING: Bounds = Bounds { transactions: 2, keys: 1, failures: 1, ..PARKING };

/// The same, in transactions.
const PARKING_ONCE: Bounds =
    Bounds { transactions: 2, failures: 1, delivery: Delivery::ExactlyOnce, ..PARKING };

fn check(name: &str, bounds: Bounds) {
    let checker = bounds.checker().spawn_bfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!("{name}: {states} states by {steps} steps, up to {} deep", checker.max_depth());
    checker.assert_properties();
}

#[test]
fn whatever_the_order_of_commits_each_row_is_sent_once_and_in_order_per_key() {
    check("reading", READING);
}

#[test]
fn a_gap_waits_for_whoever_may_fill_it_idle_or_prepared() {
    check("kinds", KINDS);
}

#[test]
fn a_large_transaction_is_passed_over_only_while_it_is_in_progress() {
    check("large", LARGE);
    check("large of other kinds", LARGE_KINDS);
    check("large and failing", LARGE_FAILING);
}

#[test]
fn a_relay_that_sleeps_misses_nothing() {
    check("sleeping", SLEEPING);
}

#[test]
fn whoever_fails_or_is_succeeded_loses_nothing_and_keeps_the_order() {
    check("failing", FAILING);
}

#[test]
fn in_one_transaction_with_the_progress_nothing_comes_twice() {
    check("exactly once", EXACTLY_ONCE);
}

#[test]
fn a_refused_event_holds_its_key_and_nothing_else_until_it_is_mended() {
    check("parking", PARKING);
    check("parking and failing", PARKING_FAILING);
    check("parking exactly once", PARKING_ONCE);
}
