//! `explain`: every place where an event may be.

use lab::stack::ports;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, producer::DefaultProducerContext};
use serde_json::Value;
use sqlx::Connection;
use uuid::Uuid;

use crate::operator::{
    Answer, ask, ask_about, ask_until, insert_as, insert_event, pid, place, place_of,
};
use crate::topic;
use crate::world::{World, execute};

async fn explain(world: &World, event: &str) -> Answer {
    ask_about(world, &["explain", event]).await
}

fn told(answer: &Answer) -> Value {
    answer.json()["sources"][0].clone()
}

fn is(answer: &Answer, state: &str, sentence: &str) -> bool {
    let told = told(answer);
    told["state"] == state && told["said"].as_str().unwrap().contains(sentence)
}

#[tokio::test]
async fn an_event_that_waits_is_told_and_once_published_its_place_on_kafka() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    insert_event(&mut connection, &world.topic, "other").await;
    let event_id = insert_event(&mut connection, &world.topic, "a").await.to_string();
    let answer = explain(&world, &event_id).await;
    assert!(is(&answer, "waiting", "no relay leads") && answer.code == 0, "{answer:?}");
    let row = &told(&answer)["row"];
    let wanted = [
        ("topic", world.topic.as_str()),
        ("key", "a"),
        ("event_id", &event_id),
        ("type", "test.Happened"),
    ];
    for (name, value) in wanted {
        assert_eq!(row[name], value, "{row}");
    }
    let relay = world.leader(&[]).await;
    let answer =
        ask_until(&world, &["explain", &event_id], |answer| is(answer, "published", "")).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let records = told(&answer)["records"].as_array().unwrap().clone();
    assert_eq!(records.len(), 1, "{answer:?}");
    assert!(records[0]["partition"].is_i64() && records[0]["offset"].is_i64(), "{answer:?}");
    let by_number = explain(&world, "2").await;
    assert_eq!(told(&by_number)["records"], told(&answer)["records"]);

    repeat(&world, "a", &event_id);
    let answer = explain(&world, &event_id).await;
    assert!(is(&answer, "published", "2 times"), "{answer:?}");
    assert_eq!(told(&answer)["records"].as_array().unwrap().len(), 2, "{answer:?}");
    relay.stop().await;
}

/// Sends a record of the event once more, as a relay does after a crash.
fn repeat(world: &World, key: &str, event_id: &str) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &world.brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let headers = OwnedHeaders::new().insert(Header { key: "ce_id", value: Some(event_id) });
    let record = BaseRecord::to(&world.topic).key(key).payload("x").headers(headers);
    producer.send(record).unwrap();
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
}

#[tokio::test]
async fn an_event_that_is_not_in_the_table_may_come_or_never_was() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    insert_event(&mut connection, &world.topic, "a").await;
    let answer = explain(&world, &Uuid::now_v7().to_string()).await;
    assert!(
        is(&answer, "not_in_table", "no transaction is open") && answer.code == 1,
        "{answer:?}"
    );
    let pid = pid(&mut holder).await;
    let mut open = holder.begin().await.unwrap();
    let event_id = insert_event(&mut open, &world.topic, "b").await.to_string();
    let answer = explain(&world, &event_id).await;
    assert!(is(&answer, "not_in_table", "still open") && answer.code == 1, "{answer:?}");
    assert_eq!(told(&answer)["open_transactions"][0]["pid"], pid, "{answer:?}");
    let answer = explain(&world, "7").await;
    assert!(is(&answer, "not_in_table", "not been drawn"), "{answer:?}");
    let wrong = explain(&world, "seven").await;
    assert!(wrong.code == 2 && wrong.errors.contains("neither an event's id"), "{wrong:?}");
}

#[tokio::test]
async fn an_event_whose_id_tells_no_time_is_found_in_the_whole_table() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let event_id = Uuid::from_u128(7);
    insert_as(&mut connection, event_id, &world.topic, "a").await;
    // Its id says that it was made years before its row.
    let old: Uuid = "0180aaaa-0000-7000-8000-000000000001".parse().unwrap();
    insert_as(&mut connection, old, &world.topic, "a").await;
    for (id, number) in [(event_id, 1), (old, 2)] {
        let answer = explain(&world, &id.to_string()).await;
        assert_eq!(told(&answer)["row"]["number"], number, "{answer:?}");
    }
}

#[tokio::test]
async fn an_event_that_was_committed_late_is_in_a_gap_and_a_number_rolled_back_is_given_up() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    let mut open = holder.begin().await.unwrap();
    let event_id = insert_event(&mut open, &world.topic, "late").await.to_string();
    insert_event(&mut connection, &world.topic, "a").await;
    let relay = world.leader(&[]).await;
    let wanted = |answer: &Answer| {
        let source = &answer.json()["sources"][0];
        source["head"] == 2 && source["gaps"]["runs"] == 1
    };
    ask_until(&world, &["status"], wanted).await;
    relay.process.kill().await;
    open.commit().await.unwrap();
    let answer = explain(&world, &event_id).await;
    assert!(is(&answer, "in_gap", "committed after later numbers"), "{answer:?}");

    let relay = world.leader(&[]).await;
    let mut undone = holder.begin().await.unwrap();
    insert_event(&mut undone, &world.topic, "undone").await;
    undone.rollback().await.unwrap();
    insert_event(&mut connection, &world.topic, "a").await;
    let wanted = |answer: &Answer| is(answer, "not_in_table", "rolled back");
    ask_until(&world, &["explain", "3"], wanted).await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_of_a_dropped_partition_is_told_to_be_older_than_what_is_kept() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let event_id = insert_event(&mut connection, &world.topic, "a").await.to_string();
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 10000000)").await;
    insert_event(&mut connection, &world.topic, "a").await;
    let relay = world.leader(&[]).await;
    let wanted = |answer: &Answer| answer.json()["sources"][0]["watermark"] == 10_000_001;
    ask_until(&world, &["status"], wanted).await;
    execute(&mut connection, "DROP TABLE messaging.outbox_p00000000").await;
    for event in [event_id.as_str(), "1"] {
        let answer = explain(&world, event).await;
        assert!(is(&answer, "not_in_table", "dropped with its partition"), "{answer:?}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_parked_event_is_told_with_the_reason_and_one_behind_it_with_what_it_waits_for() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let missing = format!("missing.{}", world.topic);
    let first = insert_event(&mut connection, &missing, "a").await.to_string();
    let second = insert_event(&mut connection, &missing, "a").await.to_string();
    let relay = world.leader(&[]).await;
    let answer = ask_until(&world, &["explain", &first], |answer| is(answer, "parked", "")).await;
    assert!(is(&answer, "parked", &missing) && answer.code == 1, "{answer:?}");
    let answer = explain(&world, &second).await;
    assert!(is(&answer, "parked", &format!("waits behind event {first}")), "{answer:?}");
    relay.stop().await;
}

#[tokio::test]
async fn an_event_that_is_not_found_on_kafka_though_published_is_trouble() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    let event_id = insert_event(&mut connection, &world.topic, "a").await.to_string();
    world.received(1).await;
    ask_until(&world, &["explain", &event_id], |answer| is(answer, "published", "")).await;
    relay.stop().await;
    topic::remove(&world.brokers, &world.topic).await;
    let answer = explain(&world, &event_id).await;
    assert!(is(&answer, "published", "there is no topic") && answer.code == 1, "{answer:?}");
}

#[tokio::test]
async fn among_several_sources_the_one_that_has_the_event_answers() {
    let world = World::new().await;
    let other = crate::world::database(world.stack).await;
    let mut connection = world.connect().await;
    let event_id = insert_event(&mut connection, &world.topic, "a").await.to_string();
    let mut place = place(&world);
    place[1] = format!("first={other},second={}", world.url);
    let arguments = ["explain", &event_id, "--output", "json"].into_iter();
    let answer = ask(&arguments.chain(place.iter().map(String::as_str)).collect::<Vec<_>>()).await;
    assert_eq!(answer.json()["sources"].as_array().unwrap().len(), 1, "{answer:?}");
    assert_eq!(told(&answer)["source"], "second", "{answer:?}");
}

#[tokio::test]
async fn without_kafka_the_row_is_told_and_that_the_rest_is_not_known() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let event_id = insert_event(&mut connection, &world.topic, "a").await.to_string();
    let brokers = format!("127.0.0.1:{}", ports::free().unwrap());
    let place = place_of(&world.url, &brokers, &world.progress_topic);
    let arguments = ["explain", &event_id, "--output", "json"].into_iter();
    let answer = ask(&arguments.chain(place.iter().map(String::as_str)).collect::<Vec<_>>()).await;
    assert!(is(&answer, "unknown", "no Kafka broker answers") && answer.code == 1, "{answer:?}");
    assert_eq!(told(&answer)["row"]["number"], 1, "{answer:?}");
}
