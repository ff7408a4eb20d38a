//! `dead-letters`: what consumers have put aside is listed, shown, and sent to them again, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use messaging::{Consumer, ConsumerMetrics, ConsumerOptions, HandleError, Handler, Record};
use runtime::Shutdown;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::operator::kafka::{delete_records, send, standing};
use crate::operator::{Answer, ask};
use crate::topic::{self, Received};
use crate::world::{PATIENCE, World, binary};

/// A world with a topic, and a dead-letter topic of it that has a letter for each of `ids`.
struct Letters {
    world: World,
    topic: String,
    ids: Vec<String>,
}

impl Letters {
    async fn new(count: usize) -> Self {
        let world = World::new().await;
        let topic = format!("shop.{}.dlq", world.topic);
        topic::create(&world.brokers, &topic, 1).await;
        let mut letters = Self { world, topic, ids: Vec::new() };
        letters.put_aside(count).await;
        letters
    }

    /// Writes dead letters of so many events.
    async fn put_aside(&mut self, count: usize) {
        for number in 0..count {
            let id = Uuid::now_v7().to_string();
            let headers = [
                ("ce_id", id.as_str()),
                ("ce_type", "test.Happened"),
                ("dlq-reason", "rejected"),
                ("dlq-error", "not for us"),
                ("dlq-original-topic", &self.world.topic),
                ("dlq-original-partition", "2"),
                ("dlq-original-offset", &(number + 7).to_string()),
                ("dlq-attempts", "1"),
                ("dlq-time", "2026-11-21T10:00:00Z"),
            ];
            let key = format!("key {number}");
            send(&self.world.brokers, &self.topic, &key, &headers, b"\x08\x01").await;
            self.ids.push(id);
        }
    }

    /// Gives a `dead-letters` command, to be answered as JSON.
    async fn ask(&self, arguments: &[&str]) -> Answer {
        let World { brokers, progress_topic, .. } = &self.world;
        let place = ["--kafka-brokers", brokers, "--progress-topic", progress_topic];
        ask(&[&["dead-letters"], arguments, &place, &["--output", "json"]].concat()).await
    }

    /// What stands on the topic that the letters came from.
    async fn received(&self, count: usize) -> Vec<Received> {
        self.world.received(count).await
    }

    async fn listed(&self) -> Value {
        self.ask(&["list", "--topic", &self.topic]).await.json()["topics"][0].clone()
    }
}

#[tokio::test]
async fn dead_letters_are_found_by_their_topics_names_and_listed_with_their_reasons() {
    let letters = Letters::new(3).await;
    let all = letters.ask(&["list", "--limit", "2"]).await;
    assert_eq!(all.code, 0);
    let all = all.json();
    let found = all["topics"].as_array().unwrap().iter();
    let ours = found.clone().find(|found| found["topic"] == letters.topic).unwrap();
    assert!(found.clone().all(|found| found["topic"].as_str().unwrap().ends_with(".dlq")));
    assert_eq!((&ours["count"], &ours["waiting"]), (&3.into(), &3.into()));
    assert_eq!(ours["letters"].as_array().unwrap().len(), 2, "the newest");
    let last = &ours["letters"][1];
    for (field, value) in [
        ("key", "key 2"),
        ("event_id", &letters.ids[2]),
        ("reason", "rejected"),
        ("error", "not for us"),
        ("original_topic", &letters.world.topic),
        ("original_partition", "2"),
        ("original_offset", "9"),
        ("attempts", "1"),
        ("time", "2026-11-21T10:00:00Z"),
    ] {
        assert_eq!(last[field], value, "{field}");
    }
    let missing = letters.ask(&["list", "--topic", "nobody.knows.dlq"]).await;
    assert_eq!(missing.code, 1);
}

#[tokio::test]
async fn a_dead_letter_is_shown_whole() {
    let letters = Letters::new(2).await;
    let shown = letters.ask(&["show", &letters.topic, "1"]).await.json();
    assert_eq!(
        (&shown["event_id"], &shown["payload_hex"]),
        (&letters.ids[1].as_str().into(), &"0801".into())
    );
    assert_eq!(shown["headers"][1], serde_json::json!(["ce_type", "test.Happened"]));
    send(&letters.world.brokers, &letters.topic, "text", &[], b"{\"total\": 42}").await;
    let shown = letters.ask(&["show", &letters.topic, "2"]).await.json();
    assert_eq!(shown["payload"], "{\"total\": 42}");
    let raw = letters.ask(&["show", &letters.topic, "0", "--raw"]).await;
    assert_eq!(raw.text.as_bytes(), b"\x08\x01");
    let none = letters.ask(&["show", &letters.topic, "17"]).await;
    assert_eq!(none.code, 1);
    assert!(none.errors.contains("offset 17"), "{none:?}");
}

#[tokio::test]
async fn a_redrive_sends_the_record_as_it_was_and_tells_where_it_comes_from() {
    let letters = Letters::new(2).await;
    let dry = letters.ask(&["redrive", &letters.topic, "1", "--dry-run"]).await.json();
    assert_eq!(dry["redriven"], 1);
    assert_eq!(letters.listed().await["waiting"], 2);

    let report = letters.ask(&["redrive", &letters.topic, "1"]).await.json();
    assert_eq!((&report["redriven"], &report["letters"][0]["offset"]), (&1.into(), &1.into()));
    let received = letters.received(1).await;
    assert_eq!(received.len(), 1, "the dry run has sent nothing");
    assert_eq!(received[0].key, "key 1");
    assert_eq!(received[0].payload, b"\x08\x01");
    let from = format!("{}/0/1", letters.topic);
    let expected =
        [("ce_id", &*letters.ids[1]), ("ce_type", "test.Happened"), ("dlq-redriven-from", &from)];
    let found: Vec<(&str, &str)> =
        received[0].headers.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    let listed = letters.listed().await;
    assert_eq!(listed["waiting"], 1);
    assert!(listed["letters"][1]["redriven_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn nothing_is_redriven_twice_unless_asked_for() {
    let letters = Letters::new(5).await;
    letters.ask(&["redrive", &letters.topic, "2"]).await;
    let all = letters.ask(&["redrive", &letters.topic, "--all"]).await.json();
    assert_eq!((&all["redriven"], &all["already"]), (&4.into(), &1.into()), "{all}");
    let again = letters.ask(&["redrive", &letters.topic, "--all"]).await.json();
    assert_eq!((&again["redriven"], &again["already"]), (&0.into(), &5.into()));
    let one = letters.ask(&["redrive", &letters.topic, "2"]).await.json();
    assert_eq!((&one["redriven"], &one["already"]), (&0.into(), &1.into()));
    assert_eq!(letters.received(5).await.len(), 5);
    let forced = letters.ask(&["redrive", &letters.topic, "2", "--again"]).await.json();
    assert_eq!(forced["redriven"], 1);
    assert_eq!(letters.received(6).await.len(), 6);
}

#[tokio::test]
async fn a_redrive_that_is_killed_sends_each_letter_once_when_it_is_repeated() {
    let mut letters = Letters::new(0).await;
    letters.world.topic = format!("one.{}", letters.world.topic);
    topic::create(&letters.world.brokers, &letters.world.topic, 1).await;
    letters.put_aside(4).await;
    let World { brokers, topic, progress_topic, .. } = &letters.world;
    let mut killed = tokio::process::Command::new(binary())
        .args(["dead-letters", "redrive", &letters.topic, "--all", "--kafka-brokers", brokers])
        .args(["--progress-topic", progress_topic, "--fail-points", "redrive.sent=pause"])
        .spawn()
        .unwrap();
    let began = Instant::now();
    while standing(brokers, topic) < 4 {
        assert!(began.elapsed() < PATIENCE, "nothing is sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.kill().await.unwrap();

    let report = letters.ask(&["redrive", &letters.topic, "--all"]).await.json();
    assert_eq!(report["redriven"], 4, "{report}");
    let received = letters.received(4).await;
    let ids: BTreeSet<&str> = received.iter().map(|record| record.header("ce_id")).collect();
    assert_eq!((received.len(), ids.len()), (4, 4));
}

#[tokio::test]
async fn what_cannot_be_redriven_is_told_and_stays() {
    let letters = Letters::new(1).await;
    let headers = [("dlq-original-topic", "nobody.knows")];
    send(&letters.world.brokers, &letters.topic, "lost", &headers, b"").await;
    send(&letters.world.brokers, &letters.topic, "strange", &[], b"").await;
    let answer = letters.ask(&["redrive", &letters.topic, "--all"]).await;
    let report = answer.json();
    assert_eq!((answer.code, &report["redriven"], &report["left"]), (1, &1.into(), &2.into()));
    assert!(report["left_letters"][0]["reason"].as_str().unwrap().contains("nobody.knows"));
    assert_eq!(letters.listed().await["waiting"], 2);
}

#[tokio::test]
async fn marks_of_letters_that_are_gone_are_removed() {
    let letters = Letters::new(2).await;
    letters.ask(&["redrive", &letters.topic, "--all"]).await;
    let marks = format!("~dead-letters/{}/", letters.topic);
    assert_eq!(letters.marks(&marks).await, 2);
    delete_records(&letters.world.brokers, &letters.topic, 1).await;
    letters.ask(&["redrive", &letters.topic, "--all"]).await;
    assert_eq!(letters.marks(&marks).await, 0);
}

impl Letters {
    /// How many keys of the progress topic begin so and have a value.
    async fn marks(&self, prefix: &str) -> usize {
        let records = topic::receive(&self.world.brokers, &self.world.progress_topic, 2).await;
        let mut keys = BTreeSet::new();
        for record in records.iter().filter(|record| record.key.starts_with(prefix)) {
            if record.payload.is_empty() {
                keys.remove(&record.key);
            } else {
                keys.insert(&record.key);
            }
        }
        keys.len()
    }
}

/// Rejects everything until it is cured.
struct Patient {
    topics: &'static [&'static str],
    cured: Arc<AtomicBool>,
}

impl Handler for Patient {
    fn topics(&self) -> &'static [&'static str] {
        self.topics
    }

    async fn handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> Result<(), HandleError> {
        if !self.cured.load(Ordering::SeqCst) {
            return Err(HandleError::Reject("not yet".to_owned()));
        }
        sqlx::query("INSERT INTO handled VALUES ($1)")
            .bind(record.event_id())
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn the_stores_consumer_handles_what_it_had_rejected_once_it_is_redriven() {
    let world = World::new().await;
    let topics = messaging::topics::dead_letters("patient", &[&world.topic]);
    messaging::topics::create(&world.brokers, &topics).await.unwrap();
    let dead_letters = topics[0].name.to_string();
    let database = format!("patient_{}", Uuid::now_v7().simple());
    let pool =
        PgPool::connect(&world.stack.create_database(&database).await.unwrap()).await.unwrap();
    messaging::migrate::run(&pool).await.unwrap();
    sqlx::query("CREATE TABLE handled (event_id uuid)").execute(&pool).await.unwrap();
    let cured = Arc::new(AtomicBool::new(false));
    let name: &'static str = world.topic.clone().leak();
    let patient = Patient { topics: vec![name].leak(), cured: Arc::clone(&cured) };
    let options = ConsumerOptions::new(&world.brokers, "patient");
    let consumer = Consumer::new(options, pool.clone(), patient, ConsumerMetrics::default());
    let (shutdown, mut running) = (Shutdown::default(), JoinSet::new());
    let requested = shutdown.clone();
    running.spawn(async move { consumer.run(requested).await.unwrap() });

    let mut connection = world.connect().await;
    let relay = world.leader(&[]).await;
    world.insert(&mut connection, "a", "rejected at first").await;
    topic::receive(&world.brokers, &dead_letters, 1).await;
    cured.store(true, Ordering::SeqCst);
    let letters = Letters { world, topic: dead_letters, ids: Vec::new() };
    let report = letters.ask(&["redrive", &letters.topic, "--all"]).await.json();
    assert_eq!(report["redriven"], 1, "{report}");

    let handled = async {
        let count = "SELECT count(*) FROM handled";
        while sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, handled).await.unwrap();
    assert_eq!(letters.listed().await["count"], 1, "it is not rejected once more");
    shutdown.request();
    running.join_next().await.unwrap().unwrap();
    relay.stop().await;
}
