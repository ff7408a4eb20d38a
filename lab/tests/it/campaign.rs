//! The relay dies at each of its fail points, and what stands on Kafka is right; relays that are broken on purpose are caught.

use futures::TryStreamExt;
use lab::{
    campaign::{
        Arena, Delivery, Fault, Finding, Plan, Report, Subject, Summary, Variant, round, rounds,
    },
    invariants::Violation,
    stack::Stack,
};

/// Rounds of each fail point and delivery.
const ROUNDS: u64 = 5;

/// Rounds played at once.
const PARALLEL: usize = 4;

/// The first seed, or the one that `LAB_SEED` gives back.
fn seed() -> u64 {
    std::env::var("LAB_SEED").map_or(1, |seed| seed.parse().unwrap())
}

async fn play(plans: impl Iterator<Item = Plan>) -> Summary {
    let stack = Stack::shared().await.unwrap();
    let mut summary = Summary::default();
    let arena = Arena::new(stack);
    let mut reports = std::pin::pin!(rounds(&arena, plans, PARALLEL));
    while let Some(report) = reports.try_next().await.unwrap() {
        summary.add(report);
    }
    println!("{summary}");
    summary
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_dies_at_any_fail_point_loses_invents_reorders_and_doubles_nothing() {
    let subjects = Fault::points().flat_map(|fault| {
        Delivery::ALL
            .into_iter()
            .filter(move |delivery| fault.applies_to(*delivery))
            .map(move |delivery| Subject::Relay { delivery, fault })
    });
    let plans = subjects.flat_map(|subject| {
        (0..ROUNDS).map(move |round| Plan { subject, seed: seed().wrapping_add(round) })
    });
    let summary = play(plans).await;
    let bad: Vec<_> = summary.bad().map(ToString::to_string).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert_eq!(summary.not_reached(), [], "each round reaches its fail point");
}

async fn played(variant: Variant, seed: u64) -> Report {
    let stack = Stack::shared().await.unwrap();
    let plan = Plan { subject: Subject::Variant(variant), seed };
    let report = round(&Arena::new(stack), plan).await.unwrap();
    println!("{report}");
    assert_eq!(report.error, None);
    report
}

/// What a broken relay's round must show.
async fn is_caught(variant: Variant, seed: u64, wanted: impl Fn(&Finding) -> bool) {
    let report = played(variant, seed).await;
    assert!(report.findings.iter().any(wanted), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_does_not_look_for_gaps_is_caught_losing() {
    // With this seed the transaction that is open all the time is committed at last.
    is_caught(Variant::WithoutGaps, 21, is_lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_keeps_its_progress_before_the_acknowledgement_is_caught_losing() {
    is_caught(Variant::ProgressFirst, 14, is_lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_sends_a_page_before_it_looks_its_gaps_up_is_caught_reordering() {
    let overtook = |finding: &_| matches!(finding, Finding::Violation(Violation::Overtook { .. }));
    is_caught(Variant::PageBeforeGaps, 12, overtook).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_waits_for_gaps_is_caught_stalling() {
    is_caught(Variant::WaitsForGaps, 13, |finding| matches!(finding, Finding::Stalled(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_keeps_its_progress_outside_the_transaction_is_caught_repeating() {
    is_caught(Variant::ProgressOutside, 15, is_repeated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_that_no_lock_keeps_apart_are_caught_repeating() {
    is_caught(Variant::WithoutLock, 16, is_repeated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_their_flaws_the_same_relays_are_found_good() {
    for (variant, seed) in [(Variant::Sound, 17), (Variant::SoundOnce, 18)] {
        let report = played(variant, seed).await;
        assert!(report.is_good(), "{report}");
    }
}

fn is_lost(finding: &Finding) -> bool {
    matches!(finding, Finding::Violation(Violation::Lost(_)))
}

fn is_repeated(finding: &Finding) -> bool {
    matches!(finding, Finding::Violation(Violation::Repeated { .. }))
}
