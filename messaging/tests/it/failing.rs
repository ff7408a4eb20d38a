//! Trouble that passes is waited out, and nothing is skipped or parked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    script::{Act, Script},
    world::{World, pair, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn transient_trouble_is_retried_without_end_keeping_the_membership() {
    let world = World::new().await;
    let ids = world.publish_many(3).await;
    let healed = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicUsize::new(0));
    let (health, count, sick) = (Arc::clone(&healed), Arc::clone(&tries), ids[1]);
    let mut options = world.options();
    options.overrides.push(pair(("max.poll.interval.ms", "6000")));
    let running = world.start_with(
        options,
        Script::new(world.topic, move |record| {
            if record.event_id() != Some(sick) || health.load(Ordering::SeqCst) {
                return Act::Apply;
            }
            count.fetch_add(1, Ordering::SeqCst);
            Act::Retry
        }),
    );
    running.has_partitions(1).await;
    let members = world.members().await;
    let started = Instant::now();
    // Longer than a member may go without polling.
    until("many tries", async || {
        started.elapsed() > Duration::from_secs(8) && tries.load(Ordering::SeqCst) > 10
    })
    .await;
    assert_eq!(running.status.report()["state"], "stuck");
    assert_eq!(world.committed(1).await, 1, "what came before has gone through, alone");
    assert_eq!(world.members().await, members, "the group threw the consumer out");
    world.effects_are(&ids[..1]).await;
    healed.store(true, Ordering::SeqCst);
    world.effects_are(&ids).await;
    until("the flow", async || running.status.report()["state"] == "flowing").await;
    // The partition is resumed, too.
    let late = Uuid::now_v7();
    world.publish(late).await;
    world.effects_are(&[ids, vec![late]].concat()).await;
    assert_eq!(world.members().await, members, "the group threw the consumer out");
    assert!(world.dead_letters(0).await.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_waited_out() {
    let world = World::new().await;
    let ids = world.publish_many(5).await;
    let tries = AtomicUsize::new(0);
    let running = world.start(Script::new(world.topic, move |_| {
        match tries.fetch_add(1, Ordering::SeqCst) {
            2 | 5 | 6 => Act::Disconnect,
            _ => Act::Apply,
        }
    }));
    world.effects_are(&ids).await;
    until("the offset", async || world.committed(1).await == 5).await;
    assert!(world.dead_letters(0).await.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_rolls_the_batch_back_and_its_records_go_alone() {
    let world = World::new().await;
    let ids = world.publish_many(6).await;
    let fell = AtomicBool::new(false);
    let unlucky = ids[3];
    let running = world.start(Script::new(world.topic, move |record| {
        if record.event_id() == Some(unlucky) && !fell.swap(true, Ordering::SeqCst) {
            return Act::Deadlock;
        }
        Act::Apply
    }));
    world.effects_are(&ids).await;
    assert_eq!(world.transactions().await, 6, "one transaction each");
    assert!(world.dead_letters(0).await.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_never_ends_is_given_up_and_tried_again() {
    let world = World::new().await;
    let ids = world.publish_many(2).await;
    let hung = AtomicUsize::new(0);
    let mut options = world.options();
    options.attempt_timeout = Duration::from_millis(500);
    let slow = ids[1];
    let running = world.start_with(
        options,
        Script::new(world.topic, move |record| {
            if record.event_id() == Some(slow) && hung.fetch_add(1, Ordering::SeqCst) < 3 {
                return Act::ApplySlowly(Duration::from_secs(60));
            }
            Act::Apply
        }),
    );
    world.effects_are(&ids).await;
    running.stop().await;
}
