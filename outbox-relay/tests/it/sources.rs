//! Several sources in one process, listed in a file that is read again on SIGHUP.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::world::{PATIENCE, Relay, World, binary, database};

/// A world with a second database, and a file for the sources.
struct Files {
    world: World,
    other: String,
    path: PathBuf,
}

impl Files {
    async fn new() -> Self {
        let world = World::new().await;
        let other = database(world.stack).await;
        let path = world.stack.directory().join(format!("{}.sources", world.topic));
        Self { world, other, path }
    }

    fn write(&self, text: &str) {
        let text = text.replace("URL", &self.world.url).replace("OTHER", &self.other);
        fs::write(&self.path, text).unwrap();
    }

    fn relay(&self) -> Relay {
        self.world.relay_where(&["--sources-file", self.path.to_str().unwrap()], &[], &[])
    }

    /// Writes the file and has the relay read it.
    fn reload(&self, relay: &Relay, text: &str) {
        self.write(text);
        relay.process.signal(Signal::SIGHUP);
    }
}

/// The process id of the connection that leads in a database.
async fn leader(url: &str) -> Option<i32> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = x'6f626f78'::integer::oid
            AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_optional(&mut connection)
    .await
    .unwrap()
}

/// Waits until the body of `/readyz` is as wanted.
async fn until(relay: &Relay, wanted: impl Fn(&Value) -> bool) -> bool {
    let mut found = None;
    let waited = relay
        .process
        .ready(PATIENCE, async || {
            found = relay.readyz();
            found.as_ref().is_some_and(|(_, body)| wanted(body))
        })
        .await;
    waited.unwrap_or_else(|error| panic!("{error}; last seen: {found:?}"));
    found.unwrap().0
}

fn leads(body: &Value, source: &str) -> bool {
    body["sources"][source]["state"] == "leader"
}

#[tokio::test]
async fn a_file_read_again_starts_and_stops_sources_and_leaves_the_others_alone() {
    let files = Files::new().await;
    let world = &files.world;
    files.write("# the first\n\n  stays=URL  \n");
    let relay = files.relay();
    until(&relay, |body| leads(body, "stays")).await;
    let (first, mut connection) = (leader(&world.url).await, world.connect().await);

    files.reload(&relay, "stays=URL\ncomes=OTHER\n");
    until(&relay, |body| leads(body, "comes")).await;
    let mut other = PgConnection::connect(&files.other).await.unwrap();
    world.insert(&mut other, "a", "of the one that came").await;
    world.insert(&mut connection, "b", "of the one that stays").await;
    assert_eq!(world.received(2).await.len(), 2);
    assert_eq!(leader(&world.url).await, first, "it was not disturbed");

    let before = leader(&files.other).await;
    files.reload(&relay, "stays=URL\ncomes=OTHER?application_name=changed\n");
    until(&relay, |_| relay.log().contains("\"changed\":1")).await;
    until(&relay, |body| leads(body, "comes")).await;
    assert_ne!(leader(&files.other).await, before, "it was started anew");

    files.reload(&relay, "stays=URL\n");
    assert!(until(&relay, |body| body["sources"]["comes"].is_null()).await);
    assert_eq!(leader(&files.other).await, None);
    assert_eq!(relay.metric("store_relay_leader{source=\"comes\"}"), None);
    world.insert(&mut other, "a", "waits").await;
    world.insert(&mut connection, "b", "goes").await;
    assert_eq!(world.received(3).await.len(), 3);
    assert_eq!(leader(&world.url).await, first, "it was not disturbed");

    // It had said all it had done: it repeats nothing.
    files.reload(&relay, "comes=OTHER\nstays=URL\n");
    assert_eq!(world.received(4).await.len(), 4);
    relay.stop().await;
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_is_told() {
    let files = Files::new().await;
    files.write("main=URL\n");
    let relay = files.relay();
    until(&relay, |body| leads(body, "main")).await;
    let first = leader(&files.world.url).await;
    assert_eq!(relay.metric("store_relay_sources_file_refused"), Some(0.0));
    for (text, told) in [
        (
            "main=URL\nmain=OTHER\nsecond=mysql://u:hunter2@h/d\n",
            "line 2 gives the name main again; line 3",
        ),
        ("# nothing\n", "no source is named"),
    ] {
        files.reload(&relay, text);
        let ready = until(&relay, |body| {
            body["sources_file"].as_str().is_some_and(|reason| reason.contains(told))
        })
        .await;
        assert!(ready, "what was served is served");
        assert_eq!(relay.metric("store_relay_sources_file_refused"), Some(1.0));
    }
    assert!(relay.log().contains("the sources stay as they are"));
    assert!(!relay.log().contains("hunter2"));
    files.reload(&relay, "main=URL\nsecond=OTHER\n");
    assert!(until(&relay, |body| body["sources_file"].is_null() && leads(body, "second")).await);
    assert_eq!(relay.metric("store_relay_sources_file_refused"), Some(0.0));
    assert_eq!(leader(&files.world.url).await, first, "it was not disturbed");
    relay.stop().await;
}

#[tokio::test]
async fn a_hangup_without_a_file_is_a_line_in_the_log() {
    let world = World::new().await;
    let relay = world.leader(&[]).await;
    relay.process.signal(Signal::SIGHUP);
    let told = async || relay.log().contains("SIGHUP changes nothing");
    relay.process.ready(PATIENCE, told).await.unwrap();
    relay.until("main", |source| source["ready"] == true).await;
    relay.stop().await;
}

#[tokio::test]
async fn sources_are_given_in_one_way_and_wrong_ones_are_a_usage_error() {
    let files = Files::new().await;
    files.write("main=URL\nsecond\nthird=postgres://u:hunter2@h:port/d");
    let path = files.path.to_str().unwrap();
    let cases: [(&[&str], &[&str]); 4] = [
        (&[], &["--sources", "--sources-file"]),
        (&["--sources", "a=postgres://h/d", "--sources-file", path], &["cannot be used with"]),
        (&["--sources-file", path], &["line 2", "line 3", "RELAY_SOURCES_FILE"]),
        (&["--sources-file", "/nowhere", "--page-rows", "0"], &["/nowhere", "RELAY_PAGE_ROWS"]),
    ];
    for (arguments, told) in cases {
        let output = Command::new(binary())
            .args(["run", "--kafka-brokers", "localhost:1"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(told.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
