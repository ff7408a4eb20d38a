//! A record that Kafka will never take stops its source, which says so, and nothing overtakes it.

use rdkafka::admin::{NewTopic, TopicReplication};

use crate::topic;
use crate::world::{World, insert_for};

#[tokio::test]
async fn an_oversized_event_stops_the_source_by_name_and_none_of_its_key_overtakes_it() {
    let world = World::new().await;
    let small = format!("small.{}", world.topic);
    topic::create_with(
        &world.brokers,
        NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "20000"),
    )
    .await;
    let mut connection = world.connect().await;
    insert_for(&mut connection, &small, "a", "1").await;
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES ('0199aaaa-0000-7000-8000-000000000002', $1, 'a', 'T', 's', '2',
            (SELECT string_agg(decode(md5(g::text), 'hex'), '') FROM generate_series(1, 4000) AS g))",
    )
    .bind(&small)
    .execute(&mut connection)
    .await
    .unwrap();
    insert_for(&mut connection, &small, "a", "3").await;
    let relay = world.relay(&[]);
    let (ready, source) = relay
        .until("main", |source| {
            source["state"] == "stopped" && source["reason"].as_str().unwrap().contains("0199aaaa")
        })
        .await;
    assert!(!ready);
    assert!(source["reason"].as_str().unwrap().contains(&small), "{source}");
    let subjects: Vec<String> = topic::receive(&world.brokers, &small, 1)
        .await
        .iter()
        .map(|record| record.header("ce_subject").to_owned())
        .collect();
    assert!(subjects.iter().all(|subject| subject == "1"), "{subjects:?}");
    relay.stop().await;
}

#[tokio::test]
async fn a_missing_topic_stops_the_source_until_it_is_there() {
    let world = World::new().await;
    let missing = format!("missing.{}", world.topic);
    let mut connection = world.connect().await;
    insert_for(&mut connection, &missing, "a", "1").await;
    insert_for(&mut connection, &missing, "a", "2").await;
    let relay = world.relay(&[]);
    let (_, source) = relay.until("main", |source| source["state"] == "stopped").await;
    assert!(source["reason"].as_str().unwrap().contains(&missing), "{source}");
    topic::create(&world.brokers, &missing, 1).await;
    relay.until("main", |source| source["ready"] == true && source["watermark"] == 2).await;
    let subjects: Vec<String> = topic::receive(&world.brokers, &missing, 2)
        .await
        .iter()
        .map(|record| record.header("ce_subject").to_owned())
        .collect();
    assert_eq!(subjects, ["1", "2"]);
    relay.stop().await;
}
