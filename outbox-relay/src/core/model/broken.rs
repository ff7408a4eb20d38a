//! Each precaution is left out once, and the promise that rests on it is seen broken.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::core::model::bounds::{Bounds, Flaw};
use crate::core::model::exhaustive::{
    EXACTLY_ONCE, FAILING, KINDS, LARGE, PARKING, READING, SLEEPING,
};
use crate::core::model::promises::{
    NO_LOST_WAKE_UP, NO_STALL, NOTHING_LOST, NOTHING_TWICE, ONE_LEADER, ORDER_PER_KEY,
};

/// Goes through the orders of events until one breaks the promise.
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
fn a_cursor_without_gaps_is_caught() {
    caught(Flaw::CursorOnly, READING, NOTHING_LOST);
}

#[test]
fn a_page_sent_before_its_gaps_are_looked_up_is_caught() {
    caught(Flaw::PageBeforeGaps, READING, ORDER_PER_KEY);
}

#[test]
fn a_gap_given_up_while_its_transaction_lives_is_caught() {
    caught(Flaw::HoldersIgnored, READING, NOTHING_LOST);
}

#[test]
fn holders_read_before_the_snapshot_are_caught() {
    caught(Flaw::HoldersBeforeSnapshot, READING, NOTHING_LOST);
}

#[test]
fn giving_up_without_a_later_look_is_caught() {
    caught(Flaw::NoLaterLook, READING, NOTHING_LOST);
}

#[test]
fn numbers_drawn_before_the_lock_are_caught() {
    caught(Flaw::NumberBeforeLock, KINDS, NOTHING_LOST);
}

#[test]
fn a_relay_that_waits_for_open_gaps_is_caught() {
    caught(Flaw::WaitsForGaps, READING, NO_STALL);
}

#[test]
fn gaps_passed_over_while_nobody_asks_who_is_in_progress_are_caught() {
    caught(Flaw::NobodyAsked, LARGE, ORDER_PER_KEY);
}

#[test]
fn asking_who_is_in_progress_before_the_snapshot_is_caught() {
    caught(Flaw::AskedBeforeSnapshot, LARGE, ORDER_PER_KEY);
}

#[test]
fn gaps_passed_over_without_a_later_look_are_caught() {
    caught(Flaw::QuietAtOnce, LARGE, ORDER_PER_KEY);
}

#[test]
fn gaps_passed_over_although_one_who_may_have_filled_them_is_gone_are_caught() {
    caught(Flaw::GoneForgotten, LARGE, NOTHING_LOST);
}

#[test]
fn a_head_that_passes_a_number_that_is_not_drawn_is_caught() {
    caught(Flaw::SkipsUndrawn, LARGE, NOTHING_LOST);
}

#[test]
fn falling_asleep_without_a_second_look_is_caught() {
    caught(Flaw::NoSecondLook, SLEEPING, NO_LOST_WAKE_UP);
}

#[test]
fn followers_sent_before_a_failed_record_are_caught() {
    caught(Flaw::FollowersSent, FAILING, ORDER_PER_KEY);
}

#[test]
fn followers_that_pass_their_parked_key_are_caught() {
    caught(Flaw::FollowersNotParked, PARKING, ORDER_PER_KEY);
}

#[test]
fn a_key_that_flows_before_what_waits_is_sent_is_caught() {
    caught(Flaw::ReleasedAtOnce, PARKING, NOTHING_LOST);
}

#[test]
fn progress_ahead_of_the_acknowledgements_is_caught() {
    caught(Flaw::ProgressOfReading, FAILING, NOTHING_LOST);
}

#[test]
fn producers_that_keep_their_progress_under_one_name_are_caught() {
    caught(Flaw::OneTerm, Bounds { transactions: 2, failures: 2, ..FAILING }, NOTHING_LOST);
}

#[test]
fn a_former_leader_that_goes_on_reading_is_caught() {
    caught(Flaw::LeadsWithoutLock, FAILING, ONE_LEADER);
}

#[test]
fn progress_outside_of_the_transaction_is_caught() {
    caught(Flaw::ProgressOutside, EXACTLY_ONCE, NOTHING_TWICE);
}

#[test]
fn a_former_leader_that_is_not_fenced_is_caught() {
    caught(Flaw::Unfenced, EXACTLY_ONCE, NOTHING_TWICE);
}
