//! `audit`: what is missing, repeated, invented or out of order is found, and nothing else is.

use serde_json::Value;
use sqlx::Connection;
use uuid::Uuid;

use crate::operator::kafka::{empty, send, send_again, send_and_abort};
use crate::operator::{Answer, ask_about};
use crate::topic::Received;
use crate::world::{World, execute};

async fn audit(world: &World, arguments: &[&str]) -> Answer {
    ask_about(world, &[&["audit"], arguments].concat()).await
}

/// A world in which so many events of the key a are published, and their records in order; the relay has stopped.
async fn published(count: usize) -> (World, Vec<Received>) {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    for number in 1..=count {
        world.insert(&mut connection, "a", &number.to_string()).await;
    }
    let received = world.received(count).await;
    relay.stop().await;
    (world, received)
}

/// The numbers of missing, repeated, unknown and late records.
fn wrong(report: &Value) -> [&Value; 4] {
    ["missing", "repeats", "without_row", "late"].map(|kind| &report[kind]["count"])
}

#[tokio::test]
async fn a_source_that_does_well_passes_with_its_replays() {
    let (world, _) = published(5).await;
    let replayed = ask_about(&world, &["replay", "--from", "4"]).await;
    assert_eq!(replayed.json()["records"], 2);
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "not yet published").await;

    let answer = audit(&world, &["--delivery", "exactly-once"]).await;
    let report = answer.json();
    assert_eq!(answer.code, 0, "{report}");
    assert_eq!(wrong(&report), [0, 0, 0, 0]);
    assert_eq!((&report["rows"], &report["matched"]), (&6.into(), &5.into()));
    assert_eq!((&report["replayed"], &report["waiting"]), (&2.into(), &1.into()));
}

#[tokio::test]
async fn a_published_row_that_no_topic_has_is_missing() {
    let (world, received) = published(4).await;
    empty(&world.brokers, &world.topic, 3).await;
    for record in received.iter().filter(|record| record.header("ce_subject") != "3") {
        send_again(&world.brokers, &world.topic, record).await;
    }
    let answer = audit(&world, &[]).await;
    let report = answer.json();
    assert_eq!(answer.code, 1);
    assert_eq!(wrong(&report), [1, 0, 0, 0], "{report}");
    let missing = &report["missing"]["first"][0];
    assert_eq!((&missing["number"], &missing["key"]), (&3.into(), &"a".into()));
    assert_eq!(missing["event_id"], received[2].header("ce_id"));
    assert_eq!(missing["overtaken"], true);
}

#[tokio::test]
async fn a_record_that_stands_twice_is_wrong_exactly_once_and_told_at_least_once() {
    let (world, received) = published(3).await;
    send_again(&world.brokers, &world.topic, &received[1]).await;
    for (delivery, code) in [("at-least-once", 0), ("exactly-once", 1)] {
        let answer = audit(&world, &["--delivery", delivery]).await;
        let report = answer.json();
        assert_eq!((answer.code, wrong(&report)), (code, [0, 1, 0, 0].map(Value::from).each_ref()));
        assert_eq!(report["repeats"]["first"][0]["event_id"], received[1].header("ce_id"));
    }
}

#[tokio::test]
async fn a_record_without_a_row_is_told_if_its_writer_is_the_tables() {
    let (world, _) = published(2).await;
    let invented = Uuid::now_v7().to_string();
    for (id, source) in [(invented.as_str(), "/test"), (&Uuid::now_v7().to_string(), "/elsewhere")]
    {
        let headers = [("ce_id", id), ("ce_source", source)];
        send(&world.brokers, &world.topic, "a", &headers, b"").await;
    }
    let answer = audit(&world, &[]).await;
    let report = answer.json();
    assert_eq!(answer.code, 1);
    assert_eq!(wrong(&report), [0, 0, 1, 0], "{report}");
    assert_eq!(report["without_row"]["first"][0]["event_id"], invented);
    assert_eq!(report["of_others"], 1);
}

#[tokio::test]
async fn a_record_behind_a_later_one_of_its_key_is_out_of_order() {
    let (world, received) = published(3).await;
    empty(&world.brokers, &world.topic, 3).await;
    for index in [0, 2, 1] {
        send_again(&world.brokers, &world.topic, &received[index]).await;
    }
    let answer = audit(&world, &[]).await;
    let report = answer.json();
    assert_eq!(answer.code, 1);
    assert_eq!(wrong(&report), [0, 0, 0, 1], "{report}");
    let late = &report["late"]["first"][0];
    assert_eq!((&late["number"], &late["behind"]), (&2.into(), &3.into()));
    let text = ask(&world).await;
    assert!(text.contains("number 2 behind 3"), "{text}");
}

async fn ask(world: &World) -> String {
    let place = crate::operator::place(world);
    let arguments = ["audit"].into_iter().chain(place.iter().map(String::as_str));
    crate::operator::ask(&arguments.collect::<Vec<_>>()).await.text
}

#[tokio::test]
async fn records_of_an_aborted_transaction_are_not_there() {
    let (world, received) = published(2).await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "in an aborted transaction").await;
    let id: Uuid = sqlx::query_scalar("SELECT id FROM messaging.outbox WHERE sequence = 3")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let mut record = received[1].clone();
    record.headers.insert("ce_id".to_owned(), id.to_string());
    send_and_abort(&world.brokers, &world.topic, &record).await;
    let answer = audit(&world, &["--delivery", "exactly-once"]).await;
    let report = answer.json();
    assert_eq!((answer.code, wrong(&report)), (0, [0; 4].map(Value::from).each_ref()), "{report}");
    assert_eq!((&report["matched"], &report["waiting"]), (&2.into(), &1.into()));
}

#[tokio::test]
async fn what_a_topic_or_the_table_has_deleted_proves_nothing() {
    let (world, received) = published(3).await;
    let mut connection = world.connect().await;
    // A week old, and below what the topic still has.
    execute(&mut connection, "UPDATE messaging.outbox SET created_at = now() - interval '8 days'")
        .await;
    crate::operator::kafka::delete_records(&world.brokers, &world.topic, 3).await;
    let report = audit(&world, &[]).await.json();
    assert_eq!((wrong(&report), &report["too_old"]), ([&0.into(); 4], &3.into()), "{report}");

    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 10000000)").await;
    world.insert(&mut connection, "a", "in the second partition").await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 10_000_001).await;
    relay.stop().await;
    execute(&mut connection, "DROP TABLE messaging.outbox_p00000000").await;
    let timeless = Received { timestamp_ms: 0, ..received[0].clone() };
    crate::operator::kafka::send_at(&world.brokers, &world.topic, &timeless).await;
    let report = audit(&world, &[]).await.json();
    assert_eq!((wrong(&report), &report["older"]), ([&0.into(); 4], &1.into()), "{report}");
}

#[tokio::test]
async fn a_table_of_more_rows_than_fit_into_memory_is_refused() {
    let (world, _) = published(3).await;
    let answer = audit(&world, &["--max-rows", "2"]).await;
    assert_eq!(answer.code, 1);
    assert!(answer.errors.contains("--max-rows"), "{answer:?}");
}

#[tokio::test]
async fn an_audit_beside_a_busy_relay_finds_nothing_wrong() {
    let world = World::new().await;
    let relay = world.leader(&["--delivery", "exactly-once"]).await;
    let (done, is_done) = tokio::sync::watch::channel(false);
    let writing = async |writer: u32| {
        let (mut connection, mut number) = (world.connect().await, 0);
        while !*is_done.borrow() {
            let mut open = connection.begin().await.unwrap();
            world.insert(&mut open, &writer.to_string(), &number.to_string()).await;
            number += 1;
            if number % 5 == 0 { open.rollback().await } else { open.commit().await }.unwrap();
        }
    };
    let auditing = async {
        for _ in 0..6 {
            let answer = audit(&world, &["--delivery", "exactly-once"]).await;
            assert_eq!(answer.code, 0, "{answer:?}");
        }
        done.send(true).unwrap();
    };
    tokio::join!(auditing, writing(1), writing(2), writing(3));
    relay.stop().await;
}
