//! A stall of whatever cause makes the leader unready, and its reason names the cause.

use lab::stack::{Proxy, Stack, Way, ports};
use serde_json::Value;

use crate::world::{Relay, World, execute};

/// Waits until the source is not ready, for a reason that says this.
async fn until_unready(relay: &Relay, wanted: &str) {
    let says = |source: &Value| source["reason"].as_str().is_some_and(|told| told.contains(wanted));
    let (ready, source) =
        relay.until("main", |source| source["ready"] == false && says(source)).await;
    assert!(!ready, "{source}");
}

async fn until_ready(relay: &Relay, watermark: usize) {
    let good = |source: &Value| source["ready"] == true && source["watermark"] == watermark;
    relay.until("main", good).await;
}

#[tokio::test]
async fn a_broker_that_freezes_is_named() {
    for (delivery, wanted) in [
        ("at-least-once", "kafka has acknowledged none of 1 records"),
        ("exactly-once", "kafka has not committed a transaction"),
    ] {
        let stack = Stack::shared().await.unwrap();
        let kafka = stack.fresh_kafka().await.unwrap();
        let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
        let relay = world.leader(&["--delivery", delivery]).await;
        kafka.pause().await.unwrap();
        world.insert(&mut world.connect().await, "a", "x").await;
        until_unready(&relay, wanted).await;
        kafka.resume().await.unwrap();
        until_ready(&relay, 1).await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_any_more_is_named() {
    let world = World::new().await;
    let server = world.url.split(['@', '/']).nth(3).unwrap();
    let way = Proxy::open(ports::free().unwrap(), server.parse().unwrap()).await.unwrap();
    let by_the_way = world.url.replace(server, &way.address().to_string());
    let relay = world.relay_of(&format!("main={by_the_way}"), &[]);
    world.insert(&mut world.connect().await, "a", "x").await;
    until_ready(&relay, 1).await;
    way.set(Way::Held);
    until_unready(&relay, "the database has not answered").await;
    way.set(Way::Open);
    until_ready(&relay, 1).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_database_that_is_killed_is_named() {
    let mut world = World::new().await;
    let postgres = world.stack.fresh_postgres().await.unwrap();
    world.url = postgres.create_database("killed").await.unwrap();
    let mut connection = world.connect().await;
    execute(&mut connection, outbox_relay::outbox_sql()).await;
    let relay = world.leader(&[]).await;
    postgres.kill().await.unwrap();
    until_unready(&relay, "no PostgreSQL listens at").await;
    postgres.start().await.unwrap();
    until_ready(&relay, 0).await;
    relay.stop().await;
}
