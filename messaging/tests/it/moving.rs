//! Partitions move between the group's members, and every record is still handled once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    script::{Act, Script},
    world::{World, until},
};

const PARTITIONS: i32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn records_are_handled_once_while_members_come_and_go() {
    let world = World::without_dead_letter_topic(PARTITIONS).await;
    let slowly = |_: &_| Act::ApplySlowly(Duration::from_millis(2));
    let first = world.start(Script::new(world.topic, slowly));
    first.has_partitions(6).await;
    let mut ids = world.publish_many(200).await;
    let second = world.start(Script::new(world.topic, slowly));
    second.has_partitions(3).await;
    ids.extend(world.publish_many(200).await);
    first.stop().await;
    ids.extend(world.publish_many(100).await);
    world.effects_are(&ids).await;
    until("the offsets", async || world.committed(PARTITIONS).await == 500).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_partitions_that_were_taken_away_is_left_to_their_new_owner() {
    let world = World::without_dead_letter_topic(PARTITIONS).await;
    let ids = world.publish_many(30).await;
    let healed = Arc::new(AtomicBool::new(false));
    let told_of = Arc::new(Mutex::new(BTreeSet::new()));
    let (health, partitions) = (Arc::clone(&healed), Arc::clone(&told_of));
    let sick = world.start(Script::with_committed(
        world.topic,
        move |_| if health.load(Ordering::SeqCst) { Act::Apply } else { Act::Retry },
        move |records| {
            partitions.lock().unwrap().extend(records.iter().map(|record| record.partition));
        },
    ));
    until("trouble", async || sick.status.is_stuck()).await;
    let healthy = world.start(Script::new(world.topic, |_| Act::Apply));
    healthy.has_partitions(3).await;
    sick.has_partitions(3).await;
    until("the healthy half", async || world.committed(PARTITIONS).await > 0).await;
    let mut all = ids;
    all.extend(world.publish_many(30).await);
    healed.store(true, Ordering::SeqCst);
    world.effects_are(&all).await;
    until("the offsets", async || world.committed(PARTITIONS).await == 60).await;
    assert!(told_of.lock().unwrap().len() <= 3, "worked on what was taken away");
    sick.stop().await;
    healthy.stop().await;
    assert_eq!(world.committed(PARTITIONS).await, 60);
}
