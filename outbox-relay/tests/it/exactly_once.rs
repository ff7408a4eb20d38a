//! Exactly once: a consumer that reads only what is committed sees each event once, whatever is killed.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::leadership::assert_nothing_lost_and_in_order;
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
    let received = world.received(ROWS).await;
    if kafka.left_hanging().unwrap().is_empty() {
        assert_once_and_in_order(&received, ROWS, 5);
    } else {
        assert_nothing_lost_and_in_order(&received, ROWS);
    }
}

/// What the relay has sent waits in the frozen broker: when that wakes, it commits, or aborts what took too long. The relay cannot know.
#[tokio::test]
async fn a_commit_that_times_out_in_a_frozen_broker_publishes_each_event_once() {
    const ROWS: usize = 100;
    let stack = lab::stack::Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let arguments = [&ARGUMENTS[..], &["--fail-points", "relay.committing=delay(6000)@2"]].concat();
    let relay = world.leader(&arguments).await;
    write(&world, ROWS, 5).await;
    until_a_transaction_is_open(&world).await;
    kafka.pause().await.unwrap();
    relay.until("main", |source| source["state"] == "retrying").await;
    kafka.resume().await.unwrap();
    until_all_is_published(&relay, ROWS).await;
    assert!(relay.log().contains("sending stopped"), "{}", relay.log());
    relay.stop().await;
    assert_once_and_in_order(&world.received(ROWS).await, ROWS, 5);
}

/// A broker that is fenced while it starts forgets to mark the partitions of a transaction that it has decided: Kafka 4.3 takes one
/// without a leader for one whose topic is deleted.
#[tokio::test]
async fn a_transaction_that_hangs_in_kafka_is_ended_and_nothing_is_lost() {
    const ROWS: usize = 400;
    let stack = lab::stack::Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let arguments = [&ARGUMENTS[..], &["--fail-points", "relay.committing=pause@3"]].concat();
    let former = world.relay(&arguments);
    former.until("main", |source| source["state"] == "leader").await;
    write(&world, ROWS, 5).await;
    until_a_transaction_is_open(&world).await;
    former.process.kill().await;
    kafka.kill().await.unwrap();
    forget_transactions(kafka.directory().unwrap());
    kafka.start().await.unwrap();

    let relay = world.leader(&ARGUMENTS).await;
    until_all_is_published(&relay, ROWS).await;
    assert!(relay.log().contains("a transaction of this source hangs in kafka"));
    relay.stop().await;
    assert_nothing_lost_and_in_order(&world.received(ROWS).await, ROWS);
}

/// Waits until a progress record stands on Kafka that stays undecided.
async fn until_a_transaction_is_open(world: &World) {
    let [everything, decided] = ["read_uncommitted", "read_committed"].map(|level| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &world.brokers).set("isolation.level", level);
        config.create::<BaseConsumer>().unwrap()
    });
    let topic = world.progress_topic.clone();
    let waiting = tokio::task::spawn_blocking(move || {
        let ends = || {
            [&decided, &everything].map(|consumer| {
                consumer.fetch_watermarks(&topic, 0, Duration::from_secs(10)).unwrap().1
            })
        };
        let mut seen = [0, 0];
        // One that is about to be decided does not count.
        while seen[0] == seen[1] || seen != ends() {
            seen = ends();
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
}

/// Cuts what the coordinator has written after the first state of each transactional id, in which no transaction is open.
fn forget_transactions(kafka: &Path) {
    for partition in fs::read_dir(kafka.join("data")).unwrap() {
        let partition = partition.unwrap();
        if partition.file_name().to_string_lossy().starts_with("__transaction_state-") {
            let log = partition.path().join("00000000000000000000.log");
            let states = fs::read(&log).unwrap();
            // A batch: its first offset (8 bytes), the length of what follows (4 bytes), and that.
            if let Some(length) = states.get(8..12) {
                let first = 12 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
                fs::write(&log, &states[..first]).unwrap();
            }
        }
    }
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
