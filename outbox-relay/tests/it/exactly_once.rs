//! Exactly once: a consumer that reads only what is committed sees each event once, whatever is killed.

use std::collections::HashSet;
use std::time::Duration;

use crate::topic::Received;
use crate::world::{Relay, World};

const ARGUMENTS: [&str; 4] = ["--delivery", "exactly-once", "--page-rows", "50"];

/// Each event stands there once, and those of each of `keys` keys in the order of their numbers.
pub(crate) fn assert_once_and_in_order(received: &[Received], rows: usize, keys: usize) {
    let ids: HashSet<&str> = received.iter().map(|record| record.header("ce_id")).collect();
    assert_eq!((received.len(), ids.len()), (rows, rows), "each event once");
    for key in 0..keys {
        let numbers: Vec<usize> = received
            .iter()
            .filter(|record| record.key == key.to_string())
            .map(|record| record.header("ce_subject").parse().unwrap())
            .collect();
        assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
    }
}

async fn write(world: &World, rows: usize, keys: usize) {
    let mut connection = world.connect().await;
    for number in 0..rows {
        let key = (number % keys).to_string();
        world.insert(&mut connection, &key, &number.to_string()).await;
    }
}

async fn until_all_is_published(relay: &Relay, rows: usize) {
    relay.until("main", |source| source["watermark"] == rows && source["in_flight"] == 0).await;
}

#[tokio::test]
async fn a_relay_killed_at_any_moment_publishes_each_event_once() {
    const ROWS: usize = 2000;
    let world = World::new().await;
    let mut relay = world.leader(&ARGUMENTS).await;
    let killing = async {
        for pause in [40, 170, 90, 260, 10, 400] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            relay.process.kill().await;
            relay = world.leader(&ARGUMENTS).await;
        }
    };
    tokio::join!(write(&world, ROWS, 5), killing);
    until_all_is_published(&relay, ROWS).await;
    relay.stop().await;
    assert_once_and_in_order(&world.received(ROWS).await, ROWS, 5);
}

#[tokio::test]
async fn kafka_killed_in_a_transaction_publishes_each_event_once() {
    const ROWS: usize = 1500;
    let stack = lab::stack::Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let relay = world.leader(&ARGUMENTS).await;
    let killing = async {
        for pause in [150, 400] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            kafka.kill().await.unwrap();
            kafka.start().await.unwrap();
        }
    };
    tokio::join!(write(&world, ROWS, 5), killing);
    until_all_is_published(&relay, ROWS).await;
    relay.stop().await;
    assert_once_and_in_order(&world.received(ROWS).await, ROWS, 5);
}

#[tokio::test]
async fn a_leader_that_was_stopped_and_wakes_up_can_publish_nothing() {
    const ROWS: usize = 600;
    let world = World::new().await;
    // It stops in the middle of its transaction, with records on Kafka that are not committed.
    let arguments = [&ARGUMENTS[..], &["--fail-points", "relay.committing=delay(3000)@3"]].concat();
    let former = world.relay(&arguments);
    former.until("main", |source| source["state"] == "leader").await;
    let standby = world.relay(&ARGUMENTS);
    standby.until("main", |source| source["state"] == "standby").await;
    write(&world, ROWS / 2, 5).await;
    former.process.pause();
    write(&world, ROWS / 2, 5).await;
    standby.until("main", |source| source["state"] == "leader").await;
    until_all_is_published(&standby, ROWS).await;
    former.process.resume();
    former.until("main", |source| source["state"] == "standby").await;
    let received = world.received(ROWS).await;
    assert_eq!(received.len(), ROWS);
    let ids: HashSet<&str> = received.iter().map(|record| record.header("ce_id")).collect();
    assert_eq!(ids.len(), ROWS);
    former.stop().await;
    standby.stop().await;
}

#[tokio::test]
async fn after_the_delivery_is_switched_nothing_is_lost_or_repeated() {
    let world = World::new().await;
    let mut rows = 0;
    for delivery in ["at-least-once", "exactly-once", "at-least-once", "exactly-once"] {
        let relay = world.leader(&["--delivery", delivery]).await;
        write(&world, 50, 5).await;
        rows += 50;
        until_all_is_published(&relay, rows).await;
        relay.stop().await;
    }
    assert_eq!(world.received(rows).await.len(), rows);
}
