//! One relay publishes; whatever is killed, nothing is lost; a clean stop leaves nothing to repeat.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lab::stack::{Proxy, Way, ports};

use crate::topic::Received;
use crate::world::{PATIENCE, World, database, execute, insert_for};

#[tokio::test]
async fn a_second_relay_stands_by_and_takes_over_when_the_first_is_killed() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let first = world.leader(&[]).await;
    let second = world.relay(&[]);
    let (ready, _) = second.until("main", |source| source["state"] == "standby").await;
    assert!(ready, "a standby is ready");
    assert_eq!(first.metric("store_relay_leader{"), Some(1.0));
    assert_eq!(second.metric("store_relay_leader{"), Some(0.0));
    world.insert(&mut connection, "a", "first").await;
    assert_eq!(world.subjects(1).await, ["first"]);

    first.process.kill().await;
    world.insert(&mut connection, "a", "second").await;
    second.until("main", |source| source["state"] == "leader").await;
    let subjects = world.subjects(2).await;
    assert_eq!(subjects.last().unwrap(), "second");
    second.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_stopped_loses_the_lead_and_when_it_wakes_nothing_overtakes() {
    const ROWS: usize = 400;
    let world = World::new().await;
    let mut connection = world.connect().await;
    let former = world.leader(&["--page-rows", "20"]).await;
    let standby = world.relay(&[]);
    standby.until("main", |source| source["state"] == "standby").await;
    for number in 0..ROWS / 2 {
        world.insert(&mut connection, &(number % 5).to_string(), &number.to_string()).await;
    }
    former.process.pause();
    for number in ROWS / 2..ROWS {
        world.insert(&mut connection, &(number % 5).to_string(), &number.to_string()).await;
    }
    standby.until("main", |source| source["state"] == "leader").await;
    standby.until("main", |source| source["watermark"] == ROWS && source["in_flight"] == 0).await;
    former.process.resume();
    former.until("main", |source| source["state"] == "standby").await;
    assert_nothing_lost_and_in_order(&world.received(ROWS).await, ROWS);
    former.stop().await;
    standby.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_from_its_database_loses_the_lead_and_is_followed() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let server = world.url.split(['@', '/']).nth(3).unwrap();
    let way = Proxy::open(ports::free().unwrap(), server.parse().unwrap()).await.unwrap();
    let by_the_way = world.url.replace(server, &way.address().to_string());
    let cut_off = world.relay_of(&format!("main={by_the_way}"), &[]);
    cut_off.until("main", |source| source["state"] == "leader").await;
    let standby = world.relay(&[]);
    standby.until("main", |source| source["state"] == "standby").await;
    world.insert(&mut connection, "a", "1").await;
    world.received(1).await;

    // Neither side hears of it.
    way.set(Way::Held);
    world.insert(&mut connection, "a", "2").await;
    let (ready, source) = cut_off.until("main", |source| source["ready"] == false).await;
    assert!(!ready, "{source}");
    standby.until("main", |source| source["state"] == "leader").await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    way.set(Way::Open);
    cut_off.until("main", |source| source["state"] == "standby").await;
    cut_off.stop().await;
    standby.stop().await;
}

#[tokio::test]
async fn a_standby_lets_a_leader_live_that_works() {
    let world = World::new().await;
    let leader = world.leader(&[]).await;
    let standby = world.relay(&[]);
    standby.until("main", |source| source["state"] == "standby").await;
    // Longer than a leader may be silent.
    standby.until("main", |source| source["since_seconds"].as_u64() >= Some(10)).await;
    leader.until("main", |source| source["since_seconds"].as_u64() >= Some(10)).await;
    leader.stop().await;
    standby.until("main", |source| source["state"] == "leader").await;
    standby.stop().await;
}

#[tokio::test]
async fn a_standby_lets_a_leader_live_that_begins_one_statement_after_another_without_a_beat() {
    let world = World::new().await;
    let mut leader = world.connect().await;
    execute(
        &mut leader,
        "SELECT pg_advisory_lock(
            x'6f626f78'::integer,
            ('messaging.outbox_sequence'::regclass::oid::bigint - 2147483648)::integer
        )",
    )
    .await;
    let standby = world.relay(&[]);
    standby.until("main", |source| source["state"] == "standby").await;
    // Longer than a leader may be silent.
    for _ in 0..24 {
        execute(&mut leader, "SELECT pg_sleep(0.5)").await;
    }
    // Now it is.
    standby.until("main", |source| source["state"] == "leader").await;
    standby.stop().await;
}

#[tokio::test]
async fn a_relay_killed_at_any_moment_loses_nothing_and_keeps_the_order() {
    const ROWS: usize = 3000;
    let world = World::new().await;
    let mut relay = world.leader(&["--page-rows", "50"]).await;
    let writing = async {
        let mut connection = world.connect().await;
        for number in 0..ROWS {
            world.insert(&mut connection, &(number % 5).to_string(), &number.to_string()).await;
        }
    };
    let killing = async {
        for pause in [40, 170, 90, 260, 10, 400] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            relay.process.kill().await;
            relay = world.leader(&["--page-rows", "50"]).await;
        }
    };
    tokio::join!(writing, killing);
    relay.until("main", |source| source["watermark"] == ROWS && source["in_flight"] == 0).await;
    relay.stop().await;

    let received = world.received(ROWS).await;
    assert_nothing_lost_and_in_order(&received, ROWS);
}

/// What stands there are the rows of five keys, possibly repeated, but never before what came before them.
pub(crate) fn assert_nothing_lost_and_in_order(received: &[Received], rows: usize) {
    let distinct: HashSet<&str> = received.iter().map(|record| record.header("ce_id")).collect();
    assert_eq!(distinct.len(), rows, "nothing is lost");
    for key in 0..5 {
        // What repeats, repeats what was there; nothing appears before what came before it.
        let mut next = key;
        for record in received.iter().filter(|record| record.key == key.to_string()) {
            let number: usize = record.header("ce_subject").parse().unwrap();
            assert!(number <= next, "{number} stands before {next}");
            next = next.max(number + 5);
        }
    }
}

#[tokio::test]
async fn after_a_clean_stop_nothing_is_published_twice() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    for _ in 0..4 {
        let relay = world.leader(&[]).await;
        for number in 0..100 {
            world.insert(&mut connection, &number.to_string(), "x").await;
        }
        relay.stop().await;
    }
    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["watermark"] == 400 && source["in_flight"] == 0).await;
    relay.stop().await;
    assert_eq!(world.received(400).await.len(), 400);
}

#[tokio::test]
async fn a_leader_whose_connection_is_cut_starts_over_by_itself() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    world.insert(&mut connection, "a", "before").await;
    world.received(1).await;
    execute(
        &mut connection,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    world.insert(&mut connection, "a", "after").await;
    relay.until("main", |source| source["state"] == "leader" && source["watermark"] == 2).await;
    assert_eq!(world.subjects(2).await.last().unwrap(), "after");
    relay.stop().await;
}

#[tokio::test]
async fn a_source_that_fails_does_not_stop_another() {
    let world = World::new().await;
    let good = database(world.stack).await;
    let missing = world.stack.postgres_url("there-is-no-such-database");
    let relay = world.relay_of(&format!("bad={missing},main={},good={good}", world.url), &[]);
    let (ready, bad) = relay.until("bad", |source| source["state"] == "retrying").await;
    assert!(!ready);
    assert!(bad["reason"].as_str().unwrap().contains("there is no database"), "{bad}");
    relay.until("good", |source| source["state"] == "leader").await;
    relay.until("main", |source| source["state"] == "leader").await;
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&good).await.unwrap();
    insert_for(&mut connection, &world.topic, "a", "from good").await;
    world.insert(&mut world.connect().await, "b", "from main").await;
    assert_eq!(world.subjects(2).await.len(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn while_kafka_is_down_the_relay_is_unready_and_says_why_and_then_catches_up() {
    let stack = lab::stack::Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    world.insert(&mut connection, "a", "before").await;
    world.received(1).await;
    kafka.kill().await.unwrap();
    for number in 0..100 {
        world.insert(&mut connection, "a", &number.to_string()).await;
    }
    let began = Instant::now();
    let (ready, source) = relay.until("main", |source| source["ready"] == false).await;
    assert!(!ready);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(source["reason"].as_str().unwrap().contains("kafka has acknowledged none"), "{source}");
    kafka.start().await.unwrap();
    relay
        .process
        .ready(PATIENCE, async || relay.readyz().is_some_and(|(ready, _)| ready))
        .await
        .unwrap();
    relay.until("main", |source| source["in_flight"] == 0).await;
    let subjects = world.subjects(101).await;
    let expected: Vec<String> =
        std::iter::once("before".to_owned()).chain((0..100).map(|n| n.to_string())).collect();
    assert_eq!(subjects, expected);
    relay.stop().await;
}
