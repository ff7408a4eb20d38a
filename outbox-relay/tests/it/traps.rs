//! Traps that others fell into, as far as they belong to nobody else: clocks, the progress topic, brokers that are not there,
//! databases that come back as another one.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures::TryStreamExt;
use lab::invariants::{self, Event};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::topic;
use crate::world::{PATIENCE, World, execute};
use crate::writers::published;

/// Inserts one row that says it was created then.
async fn insert_created_at(world: &World, connection: &mut PgConnection, key: &str, time: &str) {
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, created_at, payload)
        VALUES ($1, $2, $3, 'test.Happened', '/test', $4, $4::text::timestamptz, '')",
    )
    .bind(Uuid::now_v7())
    .bind(&world.topic)
    .bind(key)
    .bind(time)
    .execute(connection)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_runs_ahead_changes_neither_order_nor_delivery() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    let times = ["2026-11-21T12:00:00Z", "2199-01-01T00:00:00Z", "2001-09-09T01:46:40Z"];
    for time in times {
        insert_created_at(&world, &mut connection, "a", time).await;
    }
    relay.until("main", |source| source["watermark"] == 3 && source["in_flight"] == 0).await;
    let records = topic::everything(&world.brokers, &world.topic).await;
    let found: Vec<&str> = records.iter().map(|record| record.header("ce_time")).collect();
    assert_eq!(found, times);
    relay.stop().await;
}

#[tokio::test]
async fn an_emptied_progress_topic_stops_the_source_before_anything_comes_twice() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    world.insert(&mut connection, "a", "once").await;
    world.received(1).await;
    relay.stop().await;
    empty(&world.brokers, &world.progress_topic).await;
    let relay = world.relay(&[]);
    let (ready, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(!ready);
    assert!(source["reason"].as_str().unwrap().contains("marked as published"), "{source}");
    relay.stop().await;
    assert_eq!(world.subjects(1).await, ["once"]);
}

/// Deletes all records of the topic's partition 0 that stand there now. A compacted topic must be told that it may.
async fn empty(brokers: &str, name: &str) {
    topic::configure(brokers, name, "cleanup.policy", "compact,delete").await;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let mut end = TopicPartitionList::new();
    end.add_partition_offset(name, 0, Offset::End).unwrap();
    admin.delete_records(&end, &AdminOptions::new()).await.unwrap();
}

#[tokio::test]
async fn a_compacted_progress_topic_tells_what_it_told_before() {
    let mut world = World::new().await;
    world.progress_topic = format!("compacted.{}", world.progress_topic);
    let compacted = NewTopic::new(&world.progress_topic, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.ms", "100")
        .set("min.cleanable.dirty.ratio", "0.01")
        .set("delete.retention.ms", "0");
    topic::create_with(&world.brokers, compacted).await;
    let (mut connection, mut late) = (world.connect().await, world.connect().await);
    let relay = world.leader(&[]).await;
    execute(&mut late, "BEGIN").await;
    world.insert(&mut late, "late", "late").await;
    let mut number = 0;
    let mut told = 0;
    let compacted = relay.process.ready(PATIENCE * 2, async || {
        number += 1;
        world.insert(&mut connection, "a", &number.to_string()).await;
        relay
            .until("main", |source| source["head"] == number + 1 && source["in_flight"] == 0)
            .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let left = topic::everything(&world.brokers, &world.progress_topic).await.len();
        let shrunk = left < told;
        told = left;
        shrunk && number > 10
    });
    compacted.await.unwrap();
    relay.process.kill().await;

    let relay = world.leader(&[]).await;
    execute(&mut late, "COMMIT").await;
    relay
        .until("main", |source| source["watermark"] == number + 1 && source["in_flight"] == 0)
        .await;
    relay.stop().await;
    let subjects = world.subjects(1).await;
    assert_eq!(subjects.iter().filter(|subject| *subject == "late").count(), 1);
    for expected in 1..=number {
        assert!(subjects.contains(&expected.to_string()), "{expected} is lost");
    }
}

#[tokio::test]
async fn a_broker_whose_name_is_unknown_or_that_is_a_black_hole_is_told_and_a_stop_does_not_wait_for_it()
 {
    // TEST-NET-1: nobody answers, nobody refuses.
    for brokers in ["no-such-broker.invalid:9092", "192.0.2.1:9092"] {
        let mut world = World::new().await;
        world.brokers = brokers.to_owned();
        let relay = world.relay(&[]);
        let (ready, source) = relay.until("main", |source| told(source, "kafka")).await;
        assert!(!ready, "{source}");
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_database_that_is_a_black_hole_is_told_and_a_stop_does_not_wait_for_it() {
    let world = World::new().await;
    for host in ["no-such-host.invalid", "192.0.2.1"] {
        let relay = world.relay_of(&format!("main=postgres://postgres@{host}/postgres"), &[]);
        let (ready, source) = relay.until("main", |source| told(source, host)).await;
        assert!(!ready, "{source}");
        relay.stop().await;
    }
}

/// Whether the reason speaks of this.
fn told(source: &Value, what: &str) -> bool {
    source["reason"].as_str().is_some_and(|reason| reason.to_lowercase().contains(what))
}

#[tokio::test]
async fn a_broker_that_freezes_is_a_stall_and_afterwards_all_comes_in_order() {
    let stack = lab::stack::Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    world.insert(&mut connection, "a", "0").await;
    world.received(1).await;
    kafka.pause().await.unwrap();
    for number in 1..50 {
        world.insert(&mut connection, "a", &number.to_string()).await;
    }
    let (ready, _) = relay.until("main", |source| source["ready"] == false).await;
    assert!(!ready);
    kafka.resume().await.unwrap();
    relay.until("main", |source| source["watermark"] == 50 && source["in_flight"] == 0).await;
    relay.stop().await;
    let numbers: Vec<i32> =
        world.subjects(50).await.iter().map(|subject| subject.parse().unwrap()).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_relays_started_together_one_leads_and_nothing_comes_twice() {
    let world = World::new().await;
    let relays = [world.relay(&[]), world.relay(&[]), world.relay(&[])];
    let mut connection = world.connect().await;
    for number in 0..200 {
        world.insert(&mut connection, &(number % 3).to_string(), &number.to_string()).await;
    }
    let mut leaders = 0;
    for relay in &relays {
        let (_, source) = relay
            .until("main", |source| source["state"] == "leader" || source["state"] == "standby")
            .await;
        if source["state"] == "leader" {
            leaders += 1;
            relay.until("main", |s| s["watermark"] == 200 && s["in_flight"] == 0).await;
        }
    }
    assert_eq!(leaders, 1);
    assert_eq!(topic::everything(&world.brokers, &world.topic).await.len(), 200);
    for relay in relays {
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_database_restarted_at_once_under_load_loses_and_invents_nothing() {
    let mut world = World::new().await;
    let postgres = world.stack.fresh_postgres().await.unwrap();
    world.url = with_outbox(postgres.create_database("restarted").await.unwrap()).await;
    let relay = world.leader(&["--page-rows", "25"]).await;
    let enough = AtomicBool::new(false);
    let writers = ["a", "b", "c"].map(async |key| write_until(&world, key, &enough).await);
    let restarting = async {
        for pause in [300, 150, 700] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            postgres.stop().await.unwrap();
            postgres.start().await.unwrap();
            relay.until("main", |source| source["state"] == "leader").await;
        }
        enough.store(true, Relaxed);
    };
    tokio::join!(restarting, futures::future::join_all(writers));
    let (head, committed) = rows(&world).await;
    relay
        .until("main", |source| {
            source["head"] == head && source["open_gaps"] == 0 && source["in_flight"] == 0
        })
        .await;
    relay.stop().await;
    let violations = invariants::at_least_once(&committed, &published(&world).await);
    assert!(violations.is_empty(), "{violations:?}");
    assert!(committed.len() > 100, "{} rows are no load", committed.len());
}

/// Inserts rows of one key, one after another, and connects again whenever the database has gone.
async fn write_until(world: &World, key: &str, enough: &AtomicBool) {
    let mut connection = None;
    while !enough.load(Relaxed) {
        let Some(open) = &mut connection else {
            connection = PgConnection::connect(&world.url).await.ok();
            continue;
        };
        let inserted = sqlx::query(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            VALUES (gen_random_uuid(), $1, $2, 'test.Happened', '/test', '', '')",
        )
        .bind(&world.topic)
        .bind(key)
        .execute(open)
        .await;
        if inserted.is_err() {
            connection = None;
        }
    }
}

/// The last number and every row, in the order of the numbers: each key has one writer, who commits row by row.
async fn rows(world: &World) -> (i64, Vec<Event>) {
    let rows: Vec<(i64, Uuid, String)> =
        sqlx::query_as("SELECT sequence, id, aggregateid FROM messaging.outbox ORDER BY sequence")
            .fetch_all(&mut world.connect().await)
            .await
            .unwrap();
    let head = rows.last().map_or(0, |(sequence, ..)| *sequence);
    let event = |(_, id, key)| Event { id, topic: world.topic.clone(), key, partition: None };
    (head, rows.into_iter().map(event).collect())
}

#[tokio::test]
async fn a_table_restored_into_another_cluster_stops_the_source_before_it_publishes() {
    let mut world = World::new().await;
    let mut original = world.connect().await;
    let relay = world.leader(&[]).await;
    for number in 0..3 {
        world.insert(&mut original, "a", &number.to_string()).await;
    }
    relay.until("main", |source| source["watermark"] == 3 && source["in_flight"] == 0).await;
    relay.stop().await;

    let postgres = world.stack.fresh_postgres().await.unwrap();
    world.url = with_outbox(postgres.create_database("restored").await.unwrap()).await;
    let mut restored = world.connect().await;
    execute(&mut restored, "TRUNCATE messaging.outbox_epoch").await;
    for table in ["messaging.outbox_epoch", "messaging.outbox"] {
        dump_and_restore(&mut original, &mut restored, table).await;
    }
    execute(&mut restored, "SELECT setval('messaging.outbox_sequence', 3)").await;
    world.insert(&mut restored, "a", "written after the restore").await;
    let relay = world.relay(&[]);
    let (ready, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(!ready);
    assert!(told(&source, "belongs to another table"), "{source}");
    relay.stop().await;
    assert_eq!(topic::everything(&world.brokers, &world.topic).await.len(), 3);
}

/// What `pg_dump` and `pg_restore` do with a table's rows.
async fn dump_and_restore(from: &mut PgConnection, to: &mut PgConnection, table: &str) {
    let dump = format!("COPY (SELECT * FROM {table}) TO STDOUT");
    let rows = from.copy_out_raw(&dump).await.unwrap();
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    let mut copy = to.copy_in_raw(&format!("COPY {table} FROM STDIN")).await.unwrap();
    copy.send(rows.concat()).await.unwrap();
    copy.finish().await.unwrap();
}

/// Creates the outbox in an empty database, whose URL it passes on.
async fn with_outbox(url: String) -> String {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let sql = AssertSqlSafe(outbox_relay::outbox_sql());
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    url
}
