//! Partitions are there before the numbers that need them, and making them stops no writer.

use sqlx::Connection;

use crate::world::{World, execute};

const SMALL: [&str; 4] = ["--partition-rows", "1000", "--partitions-ahead", "12"];

#[tokio::test]
async fn partitions_are_created_ahead_while_a_writer_is_open() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    let mut open = holder.begin().await.unwrap();
    world.insert(&mut open, "a", "open").await;
    // The last number of the partitions that the migration made.
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 119999998)").await;
    let relay = world.leader(&SMALL).await;
    let pace = async {
        for number in 0..200 {
            let began = std::time::Instant::now();
            while sqlx::query_scalar::<_, bool>(
                "SELECT to_regclass('messaging.outbox_p00120011') IS NULL",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap()
            {
                assert!(
                    began.elapsed().as_secs() < 20,
                    "no partition is made while a writer is open"
                );
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            world.insert(&mut connection, "b", &number.to_string()).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(25), pace).await.unwrap();
    open.commit().await.unwrap();
    let received = world.received(201).await;
    assert_eq!(received.len(), 201);
    assert_eq!(relay.metric("store_outbox_partitions_ahead{"), Some(12.0));
    relay.stop().await;
}

#[tokio::test]
async fn a_failure_to_create_partitions_is_counted_and_in_time_makes_the_source_unready() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&SMALL).await;
    relay.until("main", |source| source["ready"] == true).await;
    relay.stop().await;
    // In the way of the next name.
    execute(&mut connection, "CREATE TABLE messaging.outbox_p00120001 ()").await;
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 119999998)").await;
    let relay = world.leader(&SMALL).await;
    let (ready, source) = relay.until("main", |source| source["ready"] == false).await;
    assert!(!ready);
    let reason = source["reason"].as_str().unwrap();
    assert!(
        reason.contains("partitions are ahead") && reason.contains("outbox_p00120001"),
        "{reason}"
    );
    assert!(relay.metric("store_outbox_partition_failures_total{").unwrap() >= 1.0);
    world.insert(&mut connection, "a", "still published").await;
    assert_eq!(world.subjects(1).await, ["still published"]);
    relay.stop().await;
}
