//! Memory stays under a cap, whatever the backlog and the size of its rows.

use std::{collections::HashSet, fmt::Display, fs};

use crate::world::{Relay, World, execute};

/// What a relay of one source may ever need.
pub(crate) const CAP_KB: u64 = 64 * 1024;

/// The most memory that the relay ever had.
pub(crate) fn peak_kb(relay: &Relay) -> u64 {
    peak_kb_of(relay.process.pid()).unwrap()
}

/// The most memory that a process ever had; none if it has ended.
pub(crate) fn peak_kb_of(pid: impl Display) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse().unwrap())
}

/// Writes so many rows of 800 kB in one transaction.
async fn write_large_rows(world: &World, rows: usize) {
    let mut connection = world.connect().await;
    execute(
        &mut connection,
        format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            SELECT gen_random_uuid(), '{}', number::text, 'T', 's', number::text,
                convert_to(repeat(md5(number::text), 25000), 'UTF8')
            FROM generate_series(1, {rows}) AS number",
            world.topic
        ),
    )
    .await;
}

/// Writes so many rows of 800 kB and waits until a relay has published them.
pub(crate) async fn publish_large_rows(world: &World, rows: usize) -> Relay {
    write_large_rows(world, rows).await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == rows && source["in_flight"] == 0).await;
    relay
}

#[tokio::test]
async fn memory_stays_bounded_on_a_backlog_of_many_rows() {
    const ROWS: usize = 200_000;
    let world = World::new().await;
    let mut connection = world.connect().await;
    execute(
        &mut connection,
        format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            SELECT gen_random_uuid(), '{}', (number % 1000)::text, 'T', 's', number::text,
                convert_to(repeat('x', 200), 'UTF8')
            FROM generate_series(1, {ROWS}) AS number",
            world.topic
        ),
    )
    .await;
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == ROWS && source["in_flight"] == 0).await;
    let peak = peak_kb(&relay);
    println!("peak resident memory on {ROWS} rows: {peak} kB");
    assert!(peak < CAP_KB, "{peak} kB");
    relay.stop().await;
    assert_eq!(world.received(ROWS).await.len(), ROWS);
}

#[tokio::test]
async fn memory_stays_bounded_on_a_backlog_of_large_rows() {
    const ROWS: usize = 400;
    let world = World::new().await;
    let relay = publish_large_rows(&world, ROWS).await;
    let peak = peak_kb(&relay);
    println!("peak resident memory on {ROWS} rows of 800 kB: {peak} kB");
    assert!(peak < CAP_KB, "{peak} kB");
    relay.stop().await;
    assert_eq!(world.received(ROWS).await.len(), ROWS);
}

#[tokio::test]
async fn memory_stays_bounded_while_kafka_is_down_and_rows_pile_up() {
    let waiting = ["for 20 s", "for 21 s", "for 22 s"];
    outage("at-least-once", |reason| waiting.iter().any(|time| reason.contains(time))).await;
}

#[tokio::test]
async fn memory_stays_bounded_while_kafka_is_down_and_one_producer_follows_another() {
    outage("exactly-once", |reason| reason.contains("no Kafka broker answers")).await;
}

/// Kafka is killed, rows pile up that are many times what memory may hold, and the outage lasts until the relay gives such a reason.
async fn outage(delivery: &str, long_enough: impl Fn(&str) -> bool) {
    const ROWS: usize = 400;
    let stack = lab::stack::Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let relay = world.leader(&["--delivery", delivery]).await;
    kafka.kill().await.unwrap();
    write_large_rows(&world, ROWS).await;
    relay.until("main", |source| source["reason"].as_str().is_some_and(&long_enough)).await;
    kafka.start().await.unwrap();
    relay.until("main", |source| source["watermark"] == ROWS && source["in_flight"] == 0).await;
    let peak = peak_kb(&relay);
    println!("peak resident memory over an outage, {delivery}: {peak} kB");
    assert!(peak < CAP_KB, "{peak} kB");
    relay.stop().await;
    let received = world.received(ROWS).await;
    let distinct: HashSet<&str> = received.iter().map(|record| record.header("ce_id")).collect();
    assert_eq!(distinct.len(), ROWS);
}

#[tokio::test]
async fn a_transaction_of_many_rows_that_commits_late_is_sent_whole_and_in_order() {
    let world = World::new().await;
    let (mut big, mut small) = (world.connect().await, world.connect().await);
    let relay = world.leader(&["--page-rows", "100"]).await;
    execute(&mut big, "BEGIN").await;
    world.insert_many(&mut big, "big", 5_000).await;
    world.insert(&mut small, "small", "at once").await;
    assert_eq!(world.subjects(1).await, ["at once"]);
    execute(&mut big, "COMMIT").await;
    let received = world.received(5001).await;
    assert_eq!(received.len(), 5001);
    let numbers: Vec<u32> = received
        .iter()
        .filter(|record| record.key == "big")
        .map(|record| record.header("ce_subject").parse().unwrap())
        .collect();
    assert!(numbers.is_sorted());
    relay.stop().await;
}

#[tokio::test]
async fn at_the_cap_of_open_gaps_the_source_stops_reading_ahead_and_names_who_holds_them() {
    let world = World::new().await;
    let (mut holder, mut other) = (world.connect().await, world.connect().await);
    let relay = world.leader(&["--gap-runs", "3"]).await;
    execute(&mut holder, "BEGIN").await;
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut holder).await.unwrap();
    for _ in 0..3 {
        world.insert(&mut holder, "a", "held").await;
        world.insert(&mut other, "b", "free").await;
    }
    let (ready, source) = relay.until("main", |source| source["ready"] == false).await;
    assert!(!ready);
    let reason = source["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("pid {pid}")), "{reason}");
    execute(&mut holder, "COMMIT").await;
    relay.until("main", |source| source["ready"] == true && source["watermark"] == 6).await;
    assert_eq!(world.received(6).await.len(), 6);
    relay.stop().await;
}

#[tokio::test]
async fn a_transaction_that_idles_does_not_keep_the_gaps_of_others_open() {
    let world = World::new().await;
    let (mut idle, mut other) = (world.connect().await, world.connect().await);
    let relay = world.leader(&[]).await;
    execute(&mut idle, "BEGIN").await;
    world.insert(&mut idle, "a", "held").await;
    world.insert(&mut other, "b", "first").await;
    relay.until("main", |source| source["oldest_gap_held_by"][0].is_string()).await;
    // It is known to idle. What others draw and do not use from now on is none of its.
    for number in 0..20 {
        execute(&mut other, "BEGIN").await;
        world.insert(&mut other, "b", "undone").await;
        execute(&mut other, "ROLLBACK").await;
        world.insert(&mut other, "b", &number.to_string()).await;
    }
    relay.until("main", |source| source["head"] == 42 && source["open_gaps"] == 1).await;
    execute(&mut idle, "COMMIT").await;
    relay.until("main", |source| source["watermark"] == 42).await;
    assert_eq!(world.received(22).await.len(), 22);
    relay.stop().await;
}
