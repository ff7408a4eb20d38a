//! `replay`: rows that are published are published again, marked, and nothing else is.

use std::collections::BTreeSet;

use rdkafka::admin::{NewTopic, TopicReplication};
use sqlx::Connection;

use crate::operator::{Answer, ask_about, insert_event};
use crate::topic::{self, Received};
use crate::world::{World, execute};

const REPLAY: &str = "outbox-relay-replay";

/// A world in which events 1 to 6, of the keys a and b in turn, are published; the relay has stopped.
async fn published() -> World {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    for number in 1..=6 {
        let key = if number % 2 == 1 { "a" } else { "b" };
        world.insert(&mut connection, key, &number.to_string()).await;
    }
    world.received(6).await;
    relay.stop().await;
    world
}

async fn replay(world: &World, arguments: &[&str]) -> Answer {
    ask_about(world, &[&["replay"], arguments].concat()).await
}

fn replayed(received: &[Received]) -> Vec<&Received> {
    received.iter().filter(|record| record.headers.contains_key(REPLAY)).collect()
}

fn subjects(records: &[&Received]) -> BTreeSet<String> {
    records.iter().map(|record| record.header("ce_subject").to_owned()).collect()
}

#[tokio::test]
async fn a_replay_sends_the_rows_of_a_key_again_in_order_and_marks_them() {
    let world = published().await;
    let answer = replay(&world, &["--topic", &world.topic, "--key", "a"]).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let report = answer.json();
    assert_eq!(report["records"], 3);
    assert_eq!(report["topics"][&world.topic], 3);
    assert_eq!((&report["first"]["number"], &report["last"]["number"]), (&1.into(), &5.into()));

    let received = world.received(9).await;
    assert_eq!(received.len(), 9);
    let again = replayed(&received);
    let order: Vec<&str> = again.iter().map(|record| record.header("ce_subject")).collect();
    assert_eq!(order, ["1", "3", "5"]);
    for record in again {
        let mut original = record.clone();
        let mark = original.headers.remove(REPLAY).unwrap();
        assert_eq!(report["replay"], mark);
        assert!(received.contains(&original), "but for the mark it is what it was: {record:?}");
    }
}

#[tokio::test]
async fn a_dry_run_tells_the_rows_and_sends_none() {
    let world = published().await;
    let answer = replay(&world, &["--from", "2", "--to", "4", "--dry-run"]).await;
    let report = answer.json();
    assert_eq!((&report["records"], &report["replay"]), (&3.into(), &serde_json::Value::Null));
    let numbers: Vec<i64> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["number"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert_eq!(world.received(6).await.len(), 6);
}

#[tokio::test]
async fn time_number_and_topic_together_select_what_meets_all_of_them() {
    let world = published().await;
    let mut connection = world.connect().await;
    let third: time::OffsetDateTime =
        sqlx::query_scalar("SELECT created_at FROM messaging.outbox WHERE sequence = 3")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    let third = third.format(&time::format_description::well_known::Rfc3339).unwrap();
    let since =
        replay(&world, &["--since", "1h", "--until", &third, "--topic", &world.topic]).await;
    assert_eq!(since.json()["records"], 2, "before the third: {since:?}");
    let other = replay(&world, &["--since", "1h", "--topic", "another"]).await;
    assert_eq!(other.json()["records"], 0);
    let none = replay(&world, &[]).await;
    assert_eq!(none.code, 2, "a replay of everything has to be asked for: {none:?}");
    assert_eq!(world.received(8).await.len(), 8);
}

#[tokio::test]
async fn what_the_relay_has_still_to_send_is_left_out() {
    let world = World::new().await;
    let (mut connection, mut late) = (world.connect().await, world.connect().await);
    let relay = world.leader(&[]).await;
    let mut open = late.begin().await.unwrap();
    world.insert(&mut open, "a", "in a gap").await;
    world.insert(&mut connection, "b", "published").await;
    world.received(1).await;
    relay.stop().await;
    open.commit().await.unwrap();
    world.insert(&mut connection, "c", "above the head").await;

    let report = replay(&world, &["--from", "0"]).await.json();
    assert_eq!((&report["records"], &report["unpublished"]), (&1.into(), &1.into()));
    let received = world.received(2).await;
    assert_eq!(subjects(&replayed(&received)), BTreeSet::from(["published".to_owned()]));
    assert_eq!(received.len(), 2);
}

#[tokio::test]
async fn a_parked_key_is_left_out_from_its_first_event_on() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let missing = format!("missing.{}", world.topic);
    world.insert(&mut connection, "a", "flows").await;
    insert_event(&mut connection, &missing, "a").await;
    insert_event(&mut connection, &missing, "a").await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 3).await;
    relay.stop().await;
    let report = replay(&world, &["--from", "0"]).await.json();
    assert_eq!((&report["records"], &report["parked"]), (&1.into(), &2.into()), "{report}");
}

#[tokio::test]
async fn what_kafka_would_refuse_by_now_is_left_out_and_told() {
    let world = published().await;
    let mut connection = world.connect().await;
    let deleted = format!("deleted.{}", world.topic);
    topic::create(&world.brokers, &deleted, 1).await;
    insert_event(&mut connection, &deleted, "a").await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 7).await;
    relay.stop().await;
    crate::operator::kafka::delete(&world.brokers, &deleted).await;

    let report = replay(&world, &["--from", "6"]).await.json();
    assert_eq!((&report["records"], &report["refused"]), (&1.into(), &1.into()), "{report}");
    assert!(report["refused_because"].as_str().unwrap().contains("there is no topic"), "{report}");
}

#[tokio::test]
async fn rows_of_dropped_partitions_are_told_to_be_gone() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 10000000)").await;
    world.insert(&mut connection, "a", "kept").await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 10_000_001).await;
    relay.stop().await;
    execute(&mut connection, "DROP TABLE messaging.outbox_p00000000").await;

    let reaching = replay(&world, &["--from", "0", "--dry-run"]).await.json();
    assert_eq!((&reaching["records"], &reaching["dropped_below"]), (&1.into(), &10_000_000.into()));
    let within = replay(&world, &["--from", "10000001", "--dry-run"]).await.json();
    assert_eq!(within["dropped_below"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_source_whose_progress_does_not_fit_is_not_replayed() {
    let world = published().await;
    let mut connection = world.connect().await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 2)").await;
    let answer = replay(&world, &["--from", "0"]).await;
    assert_eq!(answer.code, 1);
    assert!(answer.errors.contains("outbox-relay audit --repair"), "{answer:?}");
    assert_eq!(world.received(6).await.len(), 6);
}

#[tokio::test]
async fn many_rows_for_a_topic_that_takes_only_small_batches_are_replayed() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let small = format!("small.{}", world.topic);
    let new = NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "3000");
    topic::create_with(&world.brokers, new).await;
    // Payloads that do not compress.
    let insert = "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        SELECT gen_random_uuid(), $1, 'a', 'T', '/test', n::text, sha512(n::text::bytea) || sha512((-n)::text::bytea)
        FROM generate_series(1, 200) AS n";
    sqlx::query(insert).bind(&small).execute(&mut connection).await.unwrap();
    let relay = world.leader(&[]).await;
    let before = topic::receive(&world.brokers, &small, 200).await.len();
    relay.stop().await;
    let answer = replay(&world, &["--topic", &small]).await;
    assert_eq!((answer.code, &answer.json()["records"]), (0, &200.into()), "{answer:?}");
    assert_eq!(topic::receive(&world.brokers, &small, before + 200).await.len(), before + 200);
}
