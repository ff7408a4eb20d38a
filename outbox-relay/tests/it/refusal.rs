//! An event that Kafka refuses for good parks its key and that key's followers; everything else flows, and nothing overtakes.

use rdkafka::admin::{NewTopic, TopicReplication};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::topic;
use crate::world::{PATIENCE, Relay, World, insert_for};

/// A topic that takes records of at most 20 kB.
async fn small_topic(world: &World) -> String {
    let small = format!("small.{}", world.topic);
    let new =
        NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "20000");
    topic::create_with(&world.brokers, new).await;
    small
}

/// Inserts a row whose payload has so many bytes that do not compress, and answers its event's id.
async fn insert_large(
    connection: &mut PgConnection,
    topic: &str,
    key: &str,
    subject: &str,
    kilobytes: i32,
) -> Uuid {
    let event_id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES ($1, $2, $3, 'T', 's', $4,
            (SELECT string_agg(decode(md5(g::text), 'hex'), '') FROM generate_series(1, $5 * 64) AS g))",
    )
    .bind(event_id)
    .bind(topic)
    .bind(key)
    .bind(subject)
    .bind(kilobytes)
    .execute(connection)
    .await
    .unwrap();
    event_id
}

async fn subjects(world: &World, topic: &str, count: usize) -> Vec<String> {
    topic::receive(&world.brokers, topic, count)
        .await
        .iter()
        .map(|record| record.header("ce_subject").to_owned())
        .collect()
}

fn parked(source: &Value) -> u64 {
    source["parked_keys"].as_u64().unwrap()
}

/// Gives the leader a command and waits for its answer: whether it succeeded, and its sentence.
async fn command(
    connection: &mut PgConnection,
    command: &str,
    (topic, key, event_id): (&str, &str, Uuid),
    payload: Option<&[u8]>,
) -> (bool, String) {
    let id: Uuid = sqlx::query_scalar(
        "INSERT INTO messaging.outbox_command (command, aggregatetype, aggregateid, event_id, payload)
        VALUES ($1, $2, $3, $4, $5) RETURNING id",
    )
    .bind(command)
    .bind(topic)
    .bind(key)
    .bind(event_id)
    .bind(payload)
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    let answered = async {
        loop {
            let answer: Option<(bool, String)> = sqlx::query_as(
                "SELECT succeeded, answer FROM messaging.outbox_command
                WHERE id = $1 AND answered_at IS NOT NULL",
            )
            .bind(id)
            .fetch_optional(&mut *connection)
            .await
            .unwrap();
            if let Some(answer) = answer {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap()
}

/// Events 1, 2 (too large) and 3 of key a, then one of key b, all for a topic of small records, and a relay that has parked key a.
async fn parked_world(arguments: &[&str]) -> (World, PgConnection, String, Uuid, Relay) {
    let world = World::new().await;
    let small = small_topic(&world).await;
    let mut connection = world.connect().await;
    insert_for(&mut connection, &small, "a", "1").await;
    let event_id = insert_large(&mut connection, &small, "a", "2", 64).await;
    insert_for(&mut connection, &small, "a", "3").await;
    insert_for(&mut connection, &small, "b", "other").await;
    let relay = world.relay(arguments);
    relay.until("main", |source| parked(source) == 1 && source["watermark"] == 4).await;
    assert_eq!(subjects(&world, &small, 2).await, ["1", "other"]);
    (world, connection, small, event_id, relay)
}

/// The topic takes larger records from now on.
async fn enlarge(world: &World, topic: &str) {
    topic::configure(&world.brokers, topic, "max.message.bytes", "200000").await;
}

#[tokio::test]
async fn a_key_parked_for_a_large_event_is_sent_in_order_after_a_retry() {
    for delivery in ["at-least-once", "exactly-once"] {
        let (world, mut connection, small, event_id, relay) =
            parked_world(&["--delivery", delivery]).await;
        let (succeeded, answer) =
            command(&mut connection, "retry", (&small, "a", event_id), None).await;
        assert!(!succeeded && answer.contains("max.message.bytes=20000"), "{answer}");
        // A follower that comes while its key is parked waits as well, also over a restart.
        insert_for(&mut connection, &small, "a", "4").await;
        insert_for(&mut connection, &small, "b", "another").await;
        assert_eq!(subjects(&world, &small, 3).await, ["1", "other", "another"]);
        relay.stop().await;
        let relay = world.leader(&["--delivery", delivery]).await;
        relay.until("main", |source| parked(source) == 1).await;
        enlarge(&world, &small).await;
        let (succeeded, answer) =
            command(&mut connection, "retry", (&small, "a", event_id), None).await;
        assert!(succeeded && answer.contains("3 events"), "{answer}");
        insert_for(&mut connection, &small, "a", "5").await;
        let expected = ["1", "other", "another", "2", "3", "4", "5"];
        assert_eq!(subjects(&world, &small, 7).await, expected, "{delivery}");
        relay.until("main", |source| parked(source) == 0).await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_parked_event_can_be_skipped_or_replaced() {
    let (world, mut connection, small, event_id, relay) = parked_world(&[]).await;
    let (succeeded, answer) =
        command(&mut connection, "replace", (&small, "a", event_id), Some(b"small")).await;
    assert!(succeeded, "{answer}");
    let received = topic::receive(&world.brokers, &small, 4).await;
    assert_eq!(received[2].header("ce_subject"), "2");
    assert_eq!(received[2].payload, b"small");
    assert_eq!(received[2].header("ce_id"), event_id.to_string());
    assert!(received[2].header("outbox-relay-replaced").contains("65536"));
    assert_eq!(received[3].header("ce_subject"), "3");

    let event_id = insert_large(&mut connection, &small, "a", "6", 64).await;
    insert_for(&mut connection, &small, "a", "7").await;
    relay.until("main", |source| parked(source) == 1).await;
    let (succeeded, answer) = command(&mut connection, "skip", (&small, "a", event_id), None).await;
    assert!(succeeded && answer.contains("1 events"), "{answer}");
    assert_eq!(subjects(&world, &small, 5).await, ["1", "other", "2", "3", "7"]);
    let (succeeded, answer) = command(&mut connection, "skip", (&small, "a", event_id), None).await;
    assert!(!succeeded && answer.contains("not parked"), "{answer}");
    relay.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_missing_topic_is_sent_in_order_once_the_topic_is_there() {
    let world = World::new().await;
    let missing = format!("missing.{}", world.topic);
    let mut connection = world.connect().await;
    insert_for(&mut connection, &missing, "a", "1").await;
    insert_for(&mut connection, &missing, "b", "1").await;
    insert_for(&mut connection, &missing, "a", "2").await;
    let relay = world.relay(&[]);
    relay.until("main", |source| parked(source) == 2 && source["ready"] == true).await;
    world.insert(&mut connection, "a", "elsewhere").await;
    assert_eq!(world.subjects(1).await, ["elsewhere"]);
    topic::create(&world.brokers, &missing, 1).await;
    relay.until("main", |source| parked(source) == 0).await;
    let received = topic::receive(&world.brokers, &missing, 3).await;
    let of_a = received.iter().filter(|record| record.key == "a");
    assert_eq!(of_a.map(|record| record.header("ce_subject")).collect::<Vec<_>>(), ["1", "2"]);
    relay.stop().await;
}

#[tokio::test]
async fn small_records_for_a_topic_of_small_batches_all_arrive() {
    for delivery in ["at-least-once", "exactly-once"] {
        let world = World::new().await;
        let small = small_topic(&world).await;
        let mut connection = world.connect().await;
        for number in 0..40 {
            insert_large(&mut connection, &small, "a", &number.to_string(), 4).await;
        }
        let relay = world.relay(&["--delivery", delivery]);
        let expected: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        assert_eq!(subjects(&world, &small, 40).await, expected);
        let (_, source) = relay.until("main", |source| source["watermark"] == 40).await;
        assert_eq!(parked(&source), 0);
        let stops = relay.log().matches("sending stopped").count();
        assert!(stops <= 1, "after the first refusal it asks for the size: {}", relay.log());
        relay.stop().await;
    }
}

#[tokio::test]
async fn at_the_bound_of_parked_keys_the_source_stops_and_says_so() {
    let world = World::new().await;
    let small = small_topic(&world).await;
    let mut connection = world.connect().await;
    for key in ["a", "b", "c"] {
        insert_large(&mut connection, &small, key, "large", 64).await;
    }
    let relay = world.relay(&["--parked-keys", "2"]);
    let (ready, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(!ready);
    assert!(source["reason"].as_str().unwrap().contains("--parked-keys"), "{source}");
    enlarge(&world, &small).await;
    relay.until("main", |source| source["watermark"] == 3 && parked(source) == 0).await;
    assert_eq!(subjects(&world, &small, 3).await.len(), 3);
    relay.stop().await;
}
