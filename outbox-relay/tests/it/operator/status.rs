//! `status`: what is told of a source that leads, of one that does not, and of one that cannot be reached.

use std::process::Stdio;

use serde_json::Value;
use sqlx::Connection;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use lab::stack::ports;

use crate::operator::{Answer, ask, ask_about, ask_until, pid, place, place_of};
use crate::world::{PATIENCE, World, binary, execute};

fn source(answer: &Answer) -> Value {
    answer.json()["sources"][0].clone()
}

fn trouble(source: &Value) -> String {
    let sentence = |fault: &Value| format!("{}: {}", fault["cause"], fault["cure"]);
    source["trouble"].as_array().unwrap().iter().map(sentence).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_source_that_is_led_is_told_with_its_leader_and_nothing_to_look_after() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    for number in 0..3 {
        world.insert(&mut connection, "a", &number.to_string()).await;
    }
    let answer = ask_until(&world, &["status"], |answer| source(answer)["head"] == 3).await;
    let told = source(&answer);
    assert_eq!(answer.code, 0, "{answer:?}");
    let wanted =
        [("watermark", 3), ("last_value", 3), ("parked_keys", 0), ("partitions_ahead", 11)];
    for (name, value) in wanted {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    assert_eq!(told["waiting"]["rows"], 0, "{told}");
    assert!(told["leader"]["pid"].is_i64(), "{told}");
    assert!(told["leader"]["beat_age"].as_f64().unwrap() < 8.0, "{told}");
    assert!(told["published_per_second"].is_f64(), "{told}");
    let place = place(&world);
    let text =
        ask(&["status"].into_iter().chain(place.iter().map(String::as_str)).collect::<Vec<_>>())
            .await;
    let lines: Vec<&str> = text.text.lines().map(str::trim).collect();
    assert_eq!(lines[0], "main");
    assert!(lines[1].starts_with("leader") && lines[1].contains("last beat"), "{text:?}");
    assert!(lines.contains(&"position    head 3, watermark 3, last drawn 3"), "{text:?}");
    relay.stop().await;
}

#[tokio::test]
async fn rows_that_nobody_publishes_are_counted_and_it_is_told_that_nobody_leads() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    world.insert(&mut connection, "a", "2").await;
    let answer = ask_about(&world, &["status"]).await;
    let told = source(&answer);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(trouble(&told).contains("no relay leads"), "{told}");
    assert_eq!((&told["waiting"]["rows"], &told["waiting"]["count"]), (&2.into(), &"exact".into()));
    assert!(told["waiting"]["oldest_age"].as_f64().unwrap() > 0.0, "{told}");
    execute(
        &mut connection,
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        SELECT gen_random_uuid(), 't', 'k', 'T', 's', 'x', '' FROM generate_series(1, 12000)",
    )
    .await;
    let told = source(&ask_about(&world, &["status"]).await);
    assert_eq!(
        (&told["waiting"]["rows"], &told["waiting"]["count"]),
        (&12_002.into(), &"about".into())
    );
}

#[tokio::test]
async fn of_many_numbers_without_a_visible_row_only_the_first_are_gone_through() {
    const OPEN: i64 = 150_000;
    let world = World::new().await;
    let (mut open, mut other) = (world.connect().await, world.connect().await);
    world.insert(&mut other, "a", "first").await;
    execute(&mut open, "BEGIN").await;
    world.insert_many(&mut open, "k", OPEN).await;
    world.insert(&mut other, "a", "last").await;
    let told = source(&ask_about(&world, &["status"]).await);
    assert_eq!(
        (&told["waiting"]["rows"], &told["waiting"]["count"]),
        (&1.into(), &"at least".into())
    );
}

#[tokio::test]
async fn a_gap_is_told_with_the_session_or_the_prepared_transaction_that_may_fill_it() {
    let world = World::new().await;
    let (mut first, mut second) = (world.connect().await, world.connect().await);
    let mut upkeep = world.connect().await;
    // As VACUUM does.
    execute(&mut upkeep, "BEGIN; LOCK TABLE messaging.outbox IN SHARE UPDATE EXCLUSIVE MODE").await;
    let (pid, gid) = (pid(&mut first).await, format!("gap-{}", world.topic));
    execute(&mut second, "BEGIN").await;
    execute(&mut second, "SET LOCAL messaging.two_phase = on").await;
    world.insert(&mut second, "b", "prepared").await;
    execute(&mut second, format!("PREPARE TRANSACTION '{gid}'")).await;
    let mut open = first.begin().await.unwrap();
    world.insert(&mut open, "a", "open").await;
    world.insert(&mut second, "c", "committed").await;
    let relay = world.leader(&[]).await;
    let told = source(&ask_until(&world, &["status"], |answer| source(answer)["head"] == 3).await);
    let gaps = &told["gaps"];
    assert_eq!((&gaps["runs"], &gaps["numbers"]), (&1.into(), &2.into()), "{told}");
    let holders = gaps["held_by"].as_array().unwrap();
    assert_eq!(holders.len(), 2, "{told}");
    assert!(
        holders
            .iter()
            .any(|holder| holder["pid"] == pid && holder["state"] == "idle in transaction")
    );
    assert!(
        holders.iter().any(|holder| holder["gid"] == gid.as_str() && holder["state"] == "prepared")
    );
    open.rollback().await.unwrap();
    execute(&mut second, format!("ROLLBACK PREPARED '{gid}'")).await;
    ask_until(&world, &["status"], |answer| source(answer)["gaps"]["runs"] == 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_source_that_cannot_be_reached_hides_no_other() {
    let world = World::new().await;
    let nowhere = format!("postgres://postgres@127.0.0.1:{}/x", ports::free().unwrap());
    let sources = format!("bad={nowhere},main={}", world.url);
    let relay = world.leader(&[]).await;
    let mut arguments = place(&world);
    arguments[1] = sources;
    let arguments =
        ["status", "--output", "json"].into_iter().chain(arguments.iter().map(String::as_str));
    let answer = ask(&arguments.collect::<Vec<_>>()).await;
    assert_eq!(answer.code, 1, "{answer:?}");
    let told = answer.json();
    assert!(trouble(&told["sources"][0]).contains("no PostgreSQL listens"), "{told}");
    assert!(told["sources"][1]["leader"]["pid"].is_i64(), "{told}");
    relay.stop().await;
}

#[tokio::test]
async fn without_kafka_the_table_is_told_and_why_the_rest_is_not() {
    let world = World::new().await;
    let brokers = format!("127.0.0.1:{}", ports::free().unwrap());
    let place = place_of(&world.url, &brokers, &world.progress_topic);
    let arguments =
        ["status", "--output", "json"].into_iter().chain(place.iter().map(String::as_str));
    let answer = ask(&arguments.collect::<Vec<_>>()).await;
    let told = source(&answer);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(trouble(&told).contains(&format!("no Kafka broker answers at {brokers}")), "{told}");
    assert_eq!(told["partitions_ahead"], 11, "{told}");
    assert!(told["head"].is_null(), "{told}");
}

#[tokio::test]
async fn whoever_watches_sees_the_rates_of_what_is_published() {
    let world = World::new().await;
    let relay = world.leader(&[]).await;
    let mut watching = Command::new(binary())
        .args(["status", "--watch", "--every", "1", "--output", "json"])
        .args(place(&world))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut connection = world.connect().await;
    let seen = async {
        loop {
            tokio::select! {
                line = lines.next_line() => {
                    let report: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
                    let source = &report["sources"][0];
                    if source["published_per_second"].as_f64() > Some(0.0) && source["drawn_per_second"].as_f64() > Some(0.0) {
                        return;
                    }
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {
                    world.insert(&mut connection, "a", "x").await;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
    relay.stop().await;
}
