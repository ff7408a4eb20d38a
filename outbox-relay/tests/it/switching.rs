//! From one feed to the other and back, by restarts, kills and lost slots, while writers write: nothing is lost, and nothing overtakes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;

use crate::topic::Received;
use crate::wal::{feed, own_server, world_on};
use crate::world::{Relay, World, execute};

const KEYS: u64 = 5;
const WRITERS: u64 = 6;

/// Numbers that the seed alone decides (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("SWITCHING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    println!("SWITCHING_SEED={seed}");
    seed
}

/// Writes until told to stop: each transaction locks its key, counts its version up, and announces each version.
async fn write(world: &World, mut random: Random, stop: &AtomicBool) {
    let mut connection = world.connect().await;
    while !stop.load(Ordering::Relaxed) {
        write_once(world, &mut connection, &mut random).await;
        tokio::time::sleep(Duration::from_millis(random.below(8))).await;
    }
}

async fn write_once(world: &World, connection: &mut PgConnection, random: &mut Random) {
    let key = format!("key-{}", random.below(KEYS));
    let two_phase = random.below(10) == 0;
    execute(connection, "BEGIN").await;
    if two_phase {
        execute(connection, "SET LOCAL messaging.two_phase = on").await;
    }
    for _ in 0..=random.below(3) {
        announce(world, connection, &key).await;
        if random.below(4) == 0 {
            execute(connection, "SAVEPOINT here").await;
            announce(world, connection, &key).await;
            execute(connection, "ROLLBACK TO SAVEPOINT here").await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(15))).await;
    }
    let end = if random.below(5) == 0 { "ROLLBACK" } else { "COMMIT" };
    if two_phase {
        let gid = uuid::Uuid::now_v7();
        execute(connection, format!("PREPARE TRANSACTION '{gid}'")).await;
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
        execute(connection, format!("{end} PREPARED '{gid}'")).await;
    } else {
        execute(connection, end).await;
    }
}

async fn announce(world: &World, connection: &mut PgConnection, key: &str) {
    let version: i32 = sqlx::query_scalar(
        "UPDATE aggregate SET version = version + 1 WHERE key = $1 RETURNING version",
    )
    .bind(key)
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    world.insert(connection, key, &version.to_string()).await;
}

/// Runs a relay for a while by this feed, breaks what belongs to it, and ends it one way or the other.
async fn run(world: &World, delivery: &str, round: usize) {
    let wal = round % 2 == 1;
    let name = if wal { "wal" } else { "table" };
    let relay = world.relay(&["--feed", name, "--delivery", delivery, "--page-rows", "20"]);
    let follows = |source: &Value| source["state"] == "leader" && feed(source) == name;
    relay.until("main", follows).await;
    goes_on(&relay).await;
    if wal {
        let mut connection = world.connect().await;
        execute(
            &mut connection,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outbox-relay wal'",
        )
        .await;
        goes_on(&relay).await;
        relay.until("main", follows).await;
        execute(
            &mut connection,
            "DO $$ BEGIN
                PERFORM pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE active_pid IS NOT NULL;
                PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE active_pid IS NULL;
            END $$",
        )
        .await;
        goes_on(&relay).await;
        relay.until("main", follows).await;
        goes_on(&relay).await;
    }
    if round % 4 < 2 {
        relay.process.kill().await;
    } else {
        relay.stop().await;
    }
}

/// Waits until the relay has taken a few dozen rows more.
async fn goes_on(relay: &Relay) {
    let (_, source) = relay.until("main", |source| source["head"].is_i64()).await;
    let head = source["head"].as_i64().unwrap();
    relay.until("main", |source| source["head"].as_i64().is_some_and(|now| now > head + 60)).await;
}

/// Every version of every key, each for the first time in order; answers how many records are repeats.
fn check(received: &[Received], committed: &HashMap<String, i32>) -> usize {
    let mut seen: HashMap<&str, i32> = HashMap::new();
    let mut repeats = 0;
    for record in received {
        let version: i32 = record.header("ce_subject").parse().unwrap();
        let last = seen.entry(&record.key).or_default();
        assert!(version <= *last + 1, "{}: {version} comes after {last}", record.key);
        if version == *last + 1 {
            *last = version;
        } else {
            repeats += 1;
        }
    }
    for (key, version) in committed {
        assert_eq!(seen.get(key.as_str()).copied().unwrap_or(0), *version, "{key}");
    }
    repeats
}

async fn switch(delivery: &str) -> usize {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let mut connection = world.connect().await;
    execute(&mut connection, "CREATE TABLE aggregate (key text PRIMARY KEY, version int NOT NULL)")
        .await;
    execute(
        &mut connection,
        format!("INSERT INTO aggregate SELECT 'key-' || number, 0 FROM generate_series(0, {}) AS number", KEYS - 1),
    )
    .await;
    let (seed, stop) = (seed(), AtomicBool::new(false));
    let writers = (0..WRITERS).map(|writer| write(&world, Random(seed ^ (writer << 40)), &stop));
    let relays = async {
        for round in 0..6 {
            run(&world, delivery, round).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(futures::future::join_all(writers), relays);

    let committed: Vec<(String, i32)> = sqlx::query_as("SELECT key, version FROM aggregate")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let committed: HashMap<_, _> = committed.into_iter().collect();
    let rows = committed.values().sum::<i32>() as usize;
    assert!(rows > 300, "the writers have hardly written: {rows}");
    let relay = world.relay(&["--feed", "wal", "--delivery", delivery]);
    let done = |source: &Value| {
        source["watermark"] == source["head"] && source["in_flight"] == 0 && feed(source) == "wal"
    };
    relay.until("main", done).await;
    let received = world.received(rows).await;
    relay.stop().await;
    check(&received, &committed)
}

#[tokio::test]
async fn at_least_once_no_change_of_feeds_loses_or_reorders_a_row() {
    println!("{} repeats", switch("at-least-once").await);
}

#[tokio::test]
async fn exactly_once_no_change_of_feeds_loses_reorders_or_repeats_a_row() {
    assert_eq!(switch("exactly-once").await, 0);
}
