//! Partitions move between the group's members, and every record is still handled once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

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
    let mut ids = world.publish_many(1).await;
    let (healed, told_of) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
    let (health, partitions) = (Arc::clone(&healed), Arc::clone(&told_of));
    let (entered, mut entries) = mpsc::unbounded_channel();
    let first = ids[0];
    let sick = world.start(Script::with_committed(
        world.topic,
        move |record| {
            if record.event_id() == Some(first) {
                entered.send(()).unwrap();
                return Act::ApplySlowly(Duration::from_secs(1));
            }
            if health.load(Ordering::SeqCst) { Act::Apply } else { Act::Retry }
        },
        move |records| {
            let records = records.iter().filter(|record| record.event_id() != Some(first));
            let mut partitions: MutexGuard<'_, BTreeSet<i32>> = partitions.lock().unwrap();
            partitions.extend(records.map(|record| record.partition));
        },
    ));
    // While it is busy, a batch of all partitions gathers.
    entries.recv().await.unwrap();
    ids.extend(world.publish_many(30).await);
    until("trouble", async || sick.status.is_stuck()).await;
    let healthy = world.start(Script::new(world.topic, |_| Act::Apply));
    healthy.has_partitions(3).await;
    sick.has_partitions(3).await;
    until("the healthy half", async || world.committed(PARTITIONS).await > 1).await;
    let mut all = ids;
    all.extend(world.publish_many(30).await);
    healed.store(true, Ordering::SeqCst);
    world.effects_are(&all).await;
    until("the offsets", async || world.committed(PARTITIONS).await == 61).await;
    assert!(told_of.lock().unwrap().len() <= 3, "worked on what was taken away");
    sick.stop().await;
    healthy.stop().await;
    assert_eq!(world.committed(PARTITIONS).await, 61);
}
