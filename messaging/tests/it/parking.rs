//! What can never be handled is parked, whole, and holds nobody up.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::Message;
use uuid::Uuid;

use crate::{
    script::{Act, Script},
    world::{World, header, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_record_is_parked_whole_and_the_next_ones_flow() {
    let world = World::new().await;
    let (first, rejected, last) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    world.publish(first).await;
    let headers = [("ce_id", &*rejected.to_string()), ("traceparent", "00-1"), ("other", "kept")];
    world.publish_with("key", &headers, b"value").await;
    world.publish(last).await;
    let cured = Arc::new(AtomicBool::new(false));
    let health = Arc::clone(&cured);
    let running = world.start(Script::new(world.topic, move |record| {
        if record.event_id() == Some(rejected) && !health.load(Ordering::SeqCst) {
            Act::ApplyAndReject
        } else {
            Act::Apply
        }
    }));
    world.effects_are(&[first, last]).await;
    assert_eq!(world.transactions().await, 1, "the others commit together");
    let letters = world.dead_letters(1).await;
    assert_eq!(letters[0].key(), Some(&b"key"[..]));
    assert_eq!(letters[0].payload(), Some(&b"value"[..]));
    for (name, value) in [
        ("ce_id", &*rejected.to_string()),
        ("traceparent", "00-1"),
        ("other", "kept"),
        ("dlq-reason", "rejected"),
        ("dlq-error", "not for us"),
        ("dlq-original-topic", world.topic),
        ("dlq-original-partition", "0"),
        ("dlq-original-offset", "1"),
        ("dlq-attempts", "1"),
    ] {
        assert_eq!(header(&letters[0], name), Some(value), "{name}");
    }
    assert!(header(&letters[0], "dlq-time").is_some());
    until("the offset", async || world.committed(1).await == 3).await;
    assert!(!world.remembers(rejected).await, "a redrive would be ignored");

    cured.store(true, Ordering::SeqCst);
    world.publish(rejected).await;
    world.effects_are(&[first, last, rejected]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_violates_a_constraint_is_parked_after_it_was_tried_alone() {
    let world = World::new().await;
    let ids = world.publish_many(4).await;
    let bad = ids[1];
    let running = world.start(Script::new(world.topic, move |record| {
        if record.event_id() == Some(bad) { Act::Violate } else { Act::Apply }
    }));
    world.effects_are(&[ids[0], ids[2], ids[3]]).await;
    let letters = world.dead_letters(1).await;
    assert_eq!(header(&letters[0], "dlq-reason"), Some("database"));
    assert_eq!(header(&letters[0], "dlq-attempts"), Some("2"));
    assert!(header(&letters[0], "dlq-error").unwrap().contains("effects_note_check"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_is_parked() {
    let world = World::new().await;
    world.publish_with("key", &[("ce_type", "something")], b"no id").await;
    world.publish_with("key", &[("ce_id", "17")], b"no uuid").await;
    let id = Uuid::now_v7().to_string();
    world.publish_with("key", &[("ce_id", &id)], b"\xff\xff no message").await;
    let debezium = Uuid::now_v7();
    world.publish_with("key", &[("id", &debezium.to_string())], b"").await;
    let running = world.start(Script::new(world.topic, move |record| {
        if record.event_id() == Some(debezium) { Act::Apply } else { Act::Decode }
    }));
    world.effects_are(&[debezium]).await;
    let letters = world.dead_letters(3).await;
    let reasons: Vec<_> = letters.iter().map(|letter| header(letter, "dlq-reason")).collect();
    assert_eq!(reasons, [Some("no-event-id"), Some("no-event-id"), Some("undecodable")]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_dead_letter_topic_a_rejected_record_is_not_skipped() {
    let world = World::without_dead_letter_topic(1).await;
    let ids = world.publish_many(2).await;
    let bad = ids[0];
    let running = world.start(Script::new(world.topic, move |record| {
        if record.event_id() == Some(bad) { Act::ApplyAndReject } else { Act::Apply }
    }));
    until("trouble", async || running.status.is_stuck()).await;
    assert_eq!(world.committed(1).await, 0, "the offset has passed a record that is nowhere");
    world.effects_are(&ids[1..]).await;
    world.create_dead_letter_topic().await;
    assert_eq!(world.dead_letters(1).await.len(), 1);
    until("the offset", async || world.committed(1).await == 2).await;
    world.effects_are(&ids[1..]).await;
    running.stop().await;
}
