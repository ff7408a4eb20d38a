//! What does not fit together stops the source with a sentence, before anything is published.

use crate::world::{World, database, execute};

#[tokio::test]
async fn progress_of_another_database_stops_the_source() {
    let world = World::new().await;
    world.leader(&[]).await.stop().await;
    let other = database(world.stack).await;
    let relay = world.relay_of(&format!("main={other}"), &[]);
    let (ready, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(!ready);
    assert!(source["reason"].as_str().unwrap().contains("belongs to another table"), "{source}");
    relay.stop().await;
}

#[tokio::test]
async fn a_sequence_that_went_back_stops_the_source() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    for number in 0..5 {
        world.insert(&mut connection, "a", &number.to_string()).await;
    }
    world.received(5).await;
    relay.stop().await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 3)").await;
    let relay = world.relay(&[]);
    let (_, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(source["reason"].as_str().unwrap().contains("has reached number 5"), "{source}");
    relay.stop().await;
}

#[tokio::test]
async fn a_published_table_without_a_progress_record_stops_the_source() {
    let world = World::new().await;
    world.leader(&[]).await.stop().await;
    let relay = world.relay_of(&format!("renamed={}", world.url), &[]);
    let (_, source) = relay.until("renamed", |source| source["state"] == "stopped").await;
    assert!(source["reason"].as_str().unwrap().contains("marked as published"), "{source}");
    relay.stop().await;
}

#[tokio::test]
async fn a_sequence_with_a_cache_is_refused_with_its_cure() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    execute(&mut connection, "ALTER SEQUENCE messaging.outbox_sequence CACHE 20").await;
    let relay = world.relay(&[]);
    let (_, source) = relay
        .until("main", |source| source["reason"].is_string() && source["state"] != "starting")
        .await;
    assert!(source["reason"].as_str().unwrap().contains("ALTER SEQUENCE"), "{source}");
    execute(&mut connection, "ALTER SEQUENCE messaging.outbox_sequence CACHE 1").await;
    relay.until("main", |source| source["state"] == "leader").await;
    relay.stop().await;
}
