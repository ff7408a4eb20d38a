//! Once each, batched, and the offset after the commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use lab::stack::Stack;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    proxy::Proxy,
    script::{Act, Script},
    world::{World, connect, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_record_changes_nothing() {
    let world = World::new().await;
    let repeated = Uuid::now_v7();
    world.publish(repeated).await;
    world.publish(repeated).await;
    let running = world.start(Script::new(world.topic, |_| Act::Apply));
    world.effects_are(&[repeated]).await;
    world.publish(repeated).await;
    let last = Uuid::now_v7();
    world.publish(last).await;
    world.effects_are(&[repeated, last]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_ready_is_one_transaction() {
    let world = World::new().await;
    let ids = world.publish_many(60).await;
    let running = world.start(Script::new(world.topic, |_| Act::Apply));
    world.effects_are(&ids).await;
    let transactions = world.transactions().await;
    assert!((2..=6).contains(&transactions), "{transactions} transactions for 60 records");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offset_moves_only_after_the_commit() {
    let world = World::new().await;
    let id = Uuid::now_v7();
    world.publish(id).await;
    let (entered, mut entries) = mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let script = Script::new(world.topic, move |_| {
        entered.send(()).unwrap();
        tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
        Act::Apply
    });
    let running = world.start(script);
    entries.recv().await.unwrap();
    assert_eq!(world.committed(1).await, 0, "the transaction is still open");
    release.send(()).unwrap();
    world.effects_are(&[id]).await;
    until("the offset", async || world.committed(1).await == 1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_commit_and_the_offset_it_handles_the_record_once() {
    let world = World::new().await;
    let id = Uuid::now_v7();
    world.publish(id).await;
    let dying =
        Script::with_committed(world.topic, |_| Act::Apply, |_| panic!("killed by the test"));
    world.start(dying).dies().await;
    world.effects_are(&[id]).await;
    assert_eq!(world.committed(1).await, 0, "killed before the offset");

    let told_again = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&told_again);
    let running = world.start(Script::with_committed(
        world.topic,
        |_| Act::Apply,
        move |records| told.store(records[0].event_id() == Some(id), Ordering::SeqCst),
    ));
    until("the offset", async || world.committed(1).await == 1).await;
    world.effects_are(&[id]).await;
    assert!(told_again.load(Ordering::SeqCst), "the handler learns of the commit after all");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_outcome_is_unknown_is_repeated_without_effect() {
    let mut world = World::new().await;
    let proxy = Proxy::start(&world.database_url).await;
    let direct = std::mem::replace(&mut world.pool, connect(&proxy.url).await);
    let ids = world.publish_many(3).await;
    proxy.cut_at_the_next_commit();
    let running = world.start(Script::new(world.topic, |_| Act::Apply));
    world.pool = direct;
    world.effects_are(&ids).await;
    until("the offset", async || world.committed(1).await == 3).await;
    world.effects_are(&ids).await;
    assert!(proxy.has_cut(), "the test cut no commit");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_it_waits_and_still_stops() {
    let mut world = World::new().await;
    world.brokers = String::from("127.0.0.1:1");
    let running = world.start(Script::new(world.topic, |_| Act::Apply));
    until("trouble", async || running.status.report()["state"] == "disconnected").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_kafka_is_waited_out_and_does_not_keep_it_from_stopping() {
    let kafka = Stack::shared().await.unwrap().fresh_kafka().await.unwrap();
    let world = World::on(kafka.brokers()).await;
    world.create_topic(1).await;
    let before = Uuid::now_v7();
    world.publish(before).await;
    let (entered, mut entries) = mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let script = Script::new(world.topic, move |_| {
        entered.send(()).unwrap();
        tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
        Act::Apply
    });
    let running = world.start(script);
    entries.recv().await.unwrap();
    kafka.kill().await.unwrap();
    release.send(()).unwrap();
    world.effects_are(&[before]).await;
    until("the loss", async || running.status.report()["state"] == "disconnected").await;

    kafka.start().await.unwrap();
    let after = Uuid::now_v7();
    world.publish(after).await;
    release.send(()).unwrap();
    world.effects_are(&[before, after]).await;
    until("the offsets", async || world.committed(1).await == 2).await;

    let last = Uuid::now_v7();
    world.publish(last).await;
    entries.recv().await.unwrap();
    entries.recv().await.unwrap();
    kafka.kill().await.unwrap();
    release.send(()).unwrap();
    world.effects_are(&[before, after, last]).await;
    let stopping = Instant::now();
    running.stop().await;
    assert!(stopping.elapsed() < runtime::shutdown::HARD_DEADLINE, "{:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_created_later_is_read() {
    let world = World::without_topics().await;
    let running = world.start(Script::new(world.topic, |_| Act::Apply));
    until("kafka", async || running.status.report()["kafka_connected"] == true).await;
    world.create_topic(1).await;
    let ids = world.publish_many(2).await;
    world.effects_are(&ids).await;
    running.stop().await;
}
