//! The operator's commands, as an operator gives them.

mod access;
mod audit;
mod completions;
mod dead_letters;
mod doctor;
mod explain;
mod kafka;
mod memory;
mod parked;
mod proxy;
mod repair;
mod replay;
mod status;

use serde_json::Value;
use sqlx::PgConnection;
use tokio::process::Command;
use uuid::Uuid;

use crate::world::{PATIENCE, World, binary};

/// What a command has answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) text: String,
    /// What it says on standard error.
    pub(crate) errors: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Gives the relay's program these arguments and waits for its end.
pub(crate) async fn ask(arguments: &[&str]) -> Answer {
    let output = Command::new(binary()).args(arguments).output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Answer { code, text: text(output.stdout), errors: text(output.stderr) }
}

/// Where the world's source `main` is, as arguments.
pub(crate) fn place(world: &World) -> Vec<String> {
    place_of(&world.url, &world.brokers, &world.progress_topic)
}

pub(crate) fn place_of(url: &str, brokers: &str, progress_topic: &str) -> Vec<String> {
    let sources = format!("main={url}");
    ["--sources", &sources, "--kafka-brokers", brokers, "--progress-topic", progress_topic]
        .map(str::to_owned)
        .to_vec()
}

/// Gives a command about the world's source, to be answered as JSON.
pub(crate) async fn ask_about(world: &World, arguments: &[&str]) -> Answer {
    let place = place(world);
    let place = place.iter().map(String::as_str);
    let all: Vec<&str> =
        arguments.iter().copied().chain(place).chain(["--output", "json"]).collect();
    ask(&all).await
}

/// Asks again and again until the answer is as wanted.
pub(crate) async fn ask_until(
    world: &World,
    arguments: &[&str],
    wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    let began = std::time::Instant::now();
    loop {
        let answer = ask_about(world, arguments).await;
        if wanted(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "last answer: {answer:?}");
    }
}

/// Inserts a row and answers its event's id.
pub(crate) async fn insert_event(connection: &mut PgConnection, topic: &str, key: &str) -> Uuid {
    let event_id = Uuid::now_v7();
    insert_as(connection, event_id, topic, key).await;
    event_id
}

pub(crate) async fn insert_as(
    connection: &mut PgConnection,
    event_id: Uuid,
    topic: &str,
    key: &str,
) {
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES ($1, $2, $3, 'test.Happened', '/test', 'x', 'x')",
    )
    .bind(event_id)
    .bind(topic)
    .bind(key)
    .execute(connection)
    .await
    .unwrap();
}

/// The process id of the connection's backend.
pub(crate) async fn pid(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap()
}
