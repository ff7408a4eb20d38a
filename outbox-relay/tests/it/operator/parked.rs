//! `parked`: what is told of parked keys, and that retry, replace and skip do what they say.

use rdkafka::admin::{NewTopic, TopicReplication};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::operator::{Answer, ask_about, ask_until, insert_event};
use crate::topic::{self, Received};
use crate::world::{Relay, World};

/// Events for a topic that takes only small ones: of key a a large one and a small one, of key b a large one; and a relay that has
/// parked both keys.
struct ParkedWorld {
    world: World,
    connection: PgConnection,
    topic: String,
    events: [String; 3],
    relay: Relay,
}

async fn parked_world() -> ParkedWorld {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let topic = format!("small.{}", world.topic);
    let small =
        NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "2000");
    topic::create_with(&world.brokers, small).await;
    let events = [
        insert_large(&mut connection, &topic, "a").await,
        insert_event(&mut connection, &topic, "a").await,
        insert_large(&mut connection, &topic, "b").await,
    ];
    let events = events.map(|id| id.to_string());
    let relay = world.leader(&[]).await;
    ask_until(&world, &["parked", "list"], |answer| parked(answer).len() == 2).await;
    ParkedWorld { world, connection, topic, events, relay }
}

async fn insert_large(connection: &mut PgConnection, topic: &str, key: &str) -> Uuid {
    let event_id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES ($1, $2, $3, 'test.Happened', '/test', 'x', convert_to(repeat('x', 5000), 'UTF8'))",
    )
    .bind(event_id)
    .bind(topic)
    .bind(key)
    .execute(connection)
    .await
    .unwrap();
    event_id
}

fn parked(answer: &Answer) -> Vec<Value> {
    answer.json()["parked"].as_array().unwrap().clone()
}

fn command(answer: &Answer) -> Value {
    answer.json()["commands"][0].clone()
}

impl ParkedWorld {
    async fn ask(&self, arguments: &[&str]) -> Answer {
        ask_about(&self.world, arguments).await
    }

    /// What stands on the topic, once so many records do: each event's id, and its payload's length.
    async fn received(&self, count: usize) -> Vec<(String, usize)> {
        let received = topic::receive(&self.world.brokers, &self.topic, count).await;
        let record = |record: &Received| (record.header("ce_id").to_owned(), record.payload.len());
        received.iter().map(record).collect()
    }

    async fn commands(&mut self) -> i64 {
        let counted = sqlx::query_scalar("SELECT count(*) FROM messaging.outbox_command");
        counted.fetch_one(&mut self.connection).await.unwrap()
    }
}

#[tokio::test]
async fn parked_keys_are_listed_with_what_waits_behind_them_and_shown_with_their_history() {
    let there = parked_world().await;
    let listed = parked(&there.ask(&["parked", "list"]).await);
    let [first, _, other] = &there.events;
    assert_eq!((&listed[0]["key"], &listed[0]["event_id"]), (&"a".into(), &first.as_str().into()));
    assert_eq!((&listed[0]["number"], &listed[0]["followers"]), (&1.into(), &1.into()));
    assert_eq!(
        (&listed[1]["event_id"], &listed[1]["followers"]),
        (&other.as_str().into(), &0.into())
    );
    assert!(listed[0]["reason"].as_str().unwrap().contains("max.message.bytes=2000"), "{listed:?}");

    let answer = there.ask(&["parked", "retry", &there.topic, "a"]).await;
    assert!(answer.code == 1 && command(&answer)["succeeded"] == false, "{answer:?}");
    let shown = there.ask(&["parked", "show", &there.topic, "a"]).await;
    assert_eq!(shown.json()["row"]["number"], 1, "{shown:?}");
    assert_eq!(shown.json()["commands"][0]["command"], "retry", "{shown:?}");
    assert_eq!(shown.json()["commands"][0]["succeeded"], false, "{shown:?}");
    let unknown = there.ask(&["parked", "show", &there.topic, "c"]).await;
    assert!(unknown.code == 1 && unknown.errors.contains("key c of topic"), "{unknown:?}");
    there.relay.stop().await;
}

#[tokio::test]
async fn what_is_mended_is_sent_by_a_retry_of_all_in_the_order_of_each_key() {
    let there = parked_world().await;
    topic::configure(&there.world.brokers, &there.topic, "max.message.bytes", "20000").await;
    let answer = there.ask(&["parked", "retry", "--all"]).await;
    assert_eq!(answer.code, 0, "{answer:?}");
    let received = there.received(3).await;
    let [first, second, other] = &there.events;
    let place = |id: &String| received.iter().position(|(received, _)| received == id).unwrap();
    assert!(place(first) < place(second) && place(other) < 3, "{received:?}");
    there.relay.stop().await;
}

#[tokio::test]
async fn a_skipped_event_never_comes_and_a_replaced_one_comes_with_its_new_payload() {
    let mut there = parked_world().await;
    let topic = there.topic.clone();
    let [first, second, other] = there.events.clone();
    let unsure = there.ask(&["parked", "skip", &topic, "a"]).await;
    assert!(unsure.code == 2 && unsure.errors.contains("--event-id"), "{unsure:?}");
    let wrong = there.ask(&["parked", "skip", &topic, "a", "--event-id", &second]).await;
    assert!(
        wrong.code == 1 && wrong.errors.contains(&format!("waits for event {first}")),
        "{wrong:?}"
    );
    assert_eq!(there.commands().await, 0, "nothing was asked of the leader");

    let skipped = there.ask(&["parked", "skip", &topic, "a", "--event-id", &first]).await;
    assert_eq!(skipped.code, 0, "{skipped:?}");
    let file = there.world.stack.directory().join(&topic);
    std::fs::write(&file, b"\x00new").unwrap();
    let file = file.to_str().unwrap();
    let replaced = there.ask(&["parked", "replace", &topic, "b", "--payload-file", file]).await;
    assert_eq!(replaced.code, 0, "{replaced:?}");
    assert_eq!(there.received(2).await, [(second, 1), (other, 4)]);
    there.relay.stop().await;
}

#[tokio::test]
async fn without_a_leader_nothing_is_asked_and_with_one_that_does_not_answer_it_is_told() {
    let mut there = parked_world().await;
    let topic = there.topic.clone();
    there.relay.process.pause();
    let answer = there.ask(&["parked", "retry", &topic, "a", "--wait", "1"]).await;
    assert!(answer.code == 1 && command(&answer)["succeeded"].is_null(), "{answer:?}");
    there.relay.process.resume();
    let asked = there.commands().await;
    there.relay.process.kill().await;
    let answer = there.ask(&["parked", "retry", "--all"]).await;
    assert!(answer.code == 1 && answer.errors.contains("nothing was changed"), "{answer:?}");
    assert_eq!(there.commands().await, asked);
}

#[tokio::test]
async fn where_nothing_is_parked_there_is_nothing_to_do() {
    let world = World::new().await;
    let listed = ask_about(&world, &["parked", "list"]).await;
    assert!(listed.code == 0 && parked(&listed).is_empty(), "{listed:?}");
    let retried = ask_about(&world, &["parked", "retry", "--all"]).await;
    assert_eq!(retried.code, 0, "{retried:?}");
    let incomplete = ask_about(&world, &["parked", "retry"]).await;
    assert_eq!(incomplete.code, 2, "{incomplete:?}");
}
