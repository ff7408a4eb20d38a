//! `audit --repair`: after a discontinuity every committed row is on its topic, nothing else is repeated, and the relay goes on.

use std::collections::HashMap;
use std::time::Duration;

use lab::stack::Postgres;
use rdkafka::admin::{NewTopic, TopicReplication};
use sqlx::PgConnection;

use crate::operator::kafka::{empty, send_again};
use crate::operator::{Answer, ask_about, insert_event};
use crate::topic;
use crate::world::{Relay, World, execute};

async fn repair(world: &World, arguments: &[&str]) -> Answer {
    ask_about(world, &[&["audit", "--repair"], arguments].concat()).await
}

/// Inserts rows of the keys 0, 1 and 2 in turn; their subjects are their numbers.
async fn insert(
    world: &World,
    connection: &mut PgConnection,
    numbers: std::ops::RangeInclusive<i64>,
) {
    for number in numbers {
        world.insert(connection, &(number % 3).to_string(), &number.to_string()).await;
    }
}

/// A world in which rows 1 to `published` are on their topic, and the relay has stopped.
async fn world_of(published: i64) -> (World, PgConnection) {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    insert(&world, &mut connection, 1..=published).await;
    relay.until("main", |source| source["watermark"] == published).await;
    relay.stop().await;
    (world, connection)
}

/// The relay has stopped, and names the command that helps.
async fn until_stopped(relay: &Relay) {
    let (ready, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(!ready);
    assert!(source["reason"].as_str().unwrap().contains("outbox-relay audit --repair"), "{source}");
}

/// Each of these subjects is on the topic so often, and each key's in order.
async fn assert_published(world: &World, expected: &[(i64, usize)]) {
    let count = expected.iter().map(|(_, times)| times).sum();
    let received = world.received(count).await;
    let mut times: HashMap<i64, usize> = HashMap::new();
    let mut last: HashMap<String, i64> = HashMap::new();
    for record in &received {
        let number: i64 = record.header("ce_subject").parse().unwrap();
        *times.entry(number).or_default() += 1;
        let before = last.insert(record.key.clone(), number);
        assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
    }
    assert_eq!(times, expected.iter().copied().collect());
}

fn once(numbers: std::ops::RangeInclusive<i64>) -> Vec<(i64, usize)> {
    numbers.map(|number| (number, 1)).collect()
}

/// The relay leads, and publishes what is inserted now.
async fn assert_goes_on(world: &World, relay: &Relay, connection: &mut PgConnection, number: i64) {
    relay.until("main", |source| source["state"] == "leader").await;
    insert(world, connection, number..=number).await;
    let last: i64 = sqlx::query_scalar("SELECT max(sequence) FROM messaging.outbox")
        .fetch_one(connection)
        .await
        .unwrap();
    relay.until("main", |source| source["watermark"] == last).await;
}

/// Another cluster that has this world's outbox as `pg_dump` would bring it: rows, epoch and sequence.
async fn restored(world: &World) -> (World, Postgres) {
    let postgres = world.stack.fresh_postgres().await.unwrap();
    let url = postgres.create_database("restored").await.unwrap();
    let copy = World {
        stack: world.stack,
        url,
        brokers: world.brokers.clone(),
        topic: world.topic.clone(),
        progress_topic: world.progress_topic.clone(),
    };
    let (mut from, mut to) = (world.connect().await, copy.connect().await);
    execute(&mut to, outbox_relay::outbox_sql()).await;
    execute(&mut to, "DELETE FROM messaging.outbox_epoch").await;
    for (read, write) in [
        (
            "SELECT to_jsonb(outbox)::text FROM messaging.outbox ORDER BY sequence",
            "INSERT INTO messaging.outbox SELECT (jsonb_populate_record(NULL::messaging.outbox, $1::jsonb)).*",
        ),
        (
            "SELECT to_jsonb(outbox_epoch)::text FROM messaging.outbox_epoch",
            "INSERT INTO messaging.outbox_epoch
            SELECT (jsonb_populate_record(NULL::messaging.outbox_epoch, $1::jsonb)).*",
        ),
        (
            "SELECT last_value::text FROM messaging.outbox_sequence",
            "SELECT setval('messaging.outbox_sequence', $1::bigint)",
        ),
    ] {
        let rows: Vec<String> = sqlx::query_scalar(read).fetch_all(&mut from).await.unwrap();
        for row in rows {
            sqlx::query(write).bind(row).execute(&mut to).await.unwrap();
        }
    }
    (copy, postgres)
}

async fn repair_of_a_restored_database(arguments: &[&str]) {
    let (world, mut connection) = world_of(7).await;
    insert(&world, &mut connection, 8..=12).await;
    let (restored, _postgres) = restored(&world).await;
    let mut connection = restored.connect().await;
    let relay = restored.relay(arguments);
    until_stopped(&relay).await;

    let dry = repair(&restored, &[&["--dry-run"], arguments].concat()).await;
    let report = dry.json();
    assert_eq!((dry.code, &report["missing"]["count"]), (1, &5.into()), "{report}");
    until_stopped(&relay).await;
    assert_published(&restored, &once(1..=7)).await;

    let answer = repair(&restored, arguments).await;
    let report = answer.json();
    assert_eq!((answer.code, &report["sent"]), (0, &5.into()), "{answer:?}");
    assert_eq!(report["progress"]["head"], 12);
    let marked = restored.received(12).await;
    let marked =
        marked.iter().filter(|record| record.headers.contains_key("outbox-relay-repair")).count();
    assert_eq!(marked, 5);

    assert_goes_on(&restored, &relay, &mut connection, 13).await;
    relay.stop().await;
    assert_published(&restored, &once(1..=13)).await;
    let audit = ask_about(&restored, &["audit", "--delivery", "exactly-once"]).await;
    assert_eq!((audit.code, &audit.json()["repaired"]), (0, &5.into()), "{audit:?}");
}

#[tokio::test]
async fn a_database_restored_into_another_cluster_loses_and_repeats_nothing() {
    repair_of_a_restored_database(&[]).await;
}

#[tokio::test]
async fn a_database_restored_into_another_cluster_loses_and_repeats_nothing_exactly_once() {
    repair_of_a_restored_database(&["--delivery", "exactly-once"]).await;
}

#[tokio::test]
async fn a_sequence_that_was_set_back_is_set_forward_and_what_was_not_sent_is_sent() {
    let (world, mut connection) = world_of(5).await;
    insert(&world, &mut connection, 6..=6).await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 3)").await;
    let relay = world.relay(&[]);
    until_stopped(&relay).await;
    let report = repair(&world, &[]).await.json();
    assert_eq!((&report["sent"], &report["sequence_set_to"]), (&1.into(), &6.into()), "{report}");
    assert_goes_on(&world, &relay, &mut connection, 7).await;
    relay.stop().await;
    assert_published(&world, &once(1..=7)).await;
}

#[tokio::test]
async fn an_emptied_progress_topic_is_filled_again() {
    let (world, mut connection) = world_of(6).await;
    insert(&world, &mut connection, 7..=9).await;
    empty(&world.brokers, &world.progress_topic, 1).await;
    let relay = world.relay(&[]);
    until_stopped(&relay).await;
    let audit = ask_about(&world, &["audit"]).await;
    let found = audit.json();
    assert_eq!((audit.code, &found["missing"]["count"]), (1, &3.into()), "{found}");
    assert!(found["discontinuity"].as_str().unwrap().contains("marked as published"), "{found}");
    let report = repair(&world, &[]).await.json();
    assert_eq!((&report["sent"], &report["progress"]["head"]), (&3.into(), &9.into()), "{report}");
    assert_goes_on(&world, &relay, &mut connection, 10).await;
    relay.stop().await;
    assert_published(&world, &once(1..=10)).await;
}

#[tokio::test]
async fn progress_ahead_of_a_table_that_has_lost_rows_goes_back_and_tells_what_was_lost() {
    let (world, mut connection) = world_of(5).await;
    execute(&mut connection, "DELETE FROM messaging.outbox WHERE sequence > 3").await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 3)").await;
    let relay = world.relay(&[]);
    until_stopped(&relay).await;
    let answer = repair(&world, &[]).await;
    let report = answer.json();
    assert_eq!((&report["sent"], &report["progress"]["head"]), (&0.into(), &3.into()), "{report}");
    assert_eq!(
        (answer.code, &report["without_row"]["count"]),
        (1, &2.into()),
        "it cannot be undone"
    );
    relay.until("main", |source| source["state"] == "leader").await;
    // They get the numbers 4 and 5, which the old progress had passed.
    insert(&world, &mut connection, 6..=7).await;
    relay.until("main", |source| source["watermark"] == 5).await;
    relay.stop().await;
    assert_published(&world, &once(1..=7)).await;
}

#[tokio::test]
async fn a_row_whose_successor_is_there_already_is_sent_and_its_key_is_told() {
    let (world, mut connection) = world_of(6).await;
    let received = world.received(6).await;
    empty(&world.brokers, &world.topic, 3).await;
    for record in received.iter().filter(|record| record.header("ce_subject") != "2") {
        send_again(&world.brokers, &world.topic, record).await;
    }
    let answer = repair(&world, &[]).await;
    let report = answer.json();
    assert_eq!((answer.code, &report["sent"]), (1, &1.into()), "{report}");
    assert_eq!(report["order_lost"]["count"], 1);
    assert_eq!(report["order_lost"]["first"][0]["key"], "2");
    let relay = world.leader(&[]).await;
    insert(&world, &mut connection, 7..=7).await;
    relay.until("main", |source| source["watermark"] == 7).await;
    relay.stop().await;
    assert_eq!(world.received(7).await.len(), 7);
}

#[tokio::test]
async fn what_kafka_would_refuse_is_left_to_the_relay_with_what_follows_of_its_key() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    world.leader(&[]).await.stop().await;
    let small = format!("small.{}", world.topic);
    let new = NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "2000");
    topic::create_with(&world.brokers, new).await;
    let large = "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES (gen_random_uuid(), $1, 'a', 'T', '/test', 'x', convert_to(repeat('x', 5000), 'UTF8'))";
    sqlx::query(large).bind(&small).execute(&mut connection).await.unwrap();
    insert_event(&mut connection, &small, "a").await;
    insert_event(&mut connection, &small, "b").await;
    empty(&world.brokers, &world.progress_topic, 1).await;

    let answer = repair(&world, &[]).await;
    let report = answer.json();
    assert_eq!((answer.code, &report["sent"], &report["left"]["count"]), (1, &1.into(), &2.into()));
    assert_eq!(report["progress"], serde_json::json!({"head": 3, "open_numbers": 2}));
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 3).await;
    let parked = ask_about(&world, &["parked", "list"]).await.json();
    assert_eq!(parked["parked"][0]["key"], "a", "{parked}");
    relay.stop().await;
    assert_eq!(topic::receive(&world.brokers, &small, 1).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_was_parked_stays_parked() {
    let (world, mut connection) = world_of(2).await;
    let missing = format!("missing.{}", world.topic);
    insert_event(&mut connection, &missing, "a").await;
    insert_event(&mut connection, &missing, "a").await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 4).await;
    relay.stop().await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 3)").await;

    let report = repair(&world, &[]).await.json();
    assert_eq!((&report["sent"], &report["left"]["count"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(report["parked"], 2);
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["parked_keys"] == 1).await;
    topic::create(&world.brokers, &missing, 1).await;
    relay.until("main", |source| source["parked_keys"] == 0).await;
    assert_eq!(topic::receive(&world.brokers, &missing, 2).await.len(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_repair_killed_at_any_step_is_done_again_and_repeats_nothing() {
    let (world, mut connection) = world_of(3).await;
    insert(&world, &mut connection, 4..=6).await;
    empty(&world.brokers, &world.progress_topic, 1).await;
    for (point, sent) in [("repair.sent", 3), ("repair.written", 0)] {
        let failing = format!("{point}=abort");
        let delivery = ["--delivery", "exactly-once", "--fail-points", &failing];
        let arguments = [&["audit", "--repair"], &delivery[..]].concat();
        let place = crate::operator::place(&world);
        let status = tokio::process::Command::new(crate::world::binary())
            .args(&arguments)
            .args(&place)
            .output()
            .await
            .unwrap()
            .status;
        assert!(!status.success() && status.code().is_none(), "{point}: {status}");
        assert_eq!(world.received(6).await.len(), 6, "{point}, {sent} sent");
    }
    let relay = world.relay(&[]);
    assert_goes_on(&world, &relay, &mut connection, 7).await;
    relay.stop().await;
    assert_published(&world, &once(1..=7)).await;
}

#[tokio::test]
async fn a_source_that_is_led_is_not_repaired() {
    let (world, _) = world_of(1).await;
    let relay = world.leader(&[]).await;
    let answer = repair(&world, &[]).await;
    assert_eq!(answer.code, 1);
    assert!(answer.errors.contains("is led") && answer.errors.contains("backend"), "{answer:?}");
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_stands_by_during_a_repair_does_not_end_it() {
    let (world, mut connection) = world_of(2).await;
    insert(&world, &mut connection, 3..=4).await;
    empty(&world.brokers, &world.progress_topic, 1).await;
    // Longer than a leader may be silent.
    let slow = ["audit", "--repair", "--fail-points", "repair.sent=delay(11000)"];
    let (answer, relay) = tokio::join!(ask_about(&world, &slow), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.relay(&[])
    });
    assert_eq!((answer.code, &answer.json()["sent"]), (0, &2.into()), "{answer:?}");
    assert_goes_on(&world, &relay, &mut connection, 5).await;
    relay.stop().await;
    assert_published(&world, &once(1..=5)).await;
}

#[tokio::test]
async fn exactly_once_the_relay_of_the_old_database_can_publish_nothing_after_the_repair() {
    let delivery = ["--delivery", "exactly-once"];
    let (world, mut connection) = world_of(3).await;
    let old = world.leader(&delivery).await;
    let (restored, _postgres) = restored(&world).await;
    let answer = repair(&restored, &delivery).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    insert(&world, &mut connection, 100..=100).await;
    let (_, source) = old.until("main", |source| source["state"] == "stopped").await;
    assert!(source["reason"].as_str().unwrap().contains("belongs to another table"), "{source}");
    let relay = restored.relay(&delivery);
    assert_goes_on(&restored, &relay, &mut restored.connect().await, 4).await;
    relay.stop().await;
    old.stop().await;
    assert_published(&restored, &once(1..=4)).await;
}
