//! Writers at random, as unkind as they may be, while the relay is killed: nothing is lost, invented or out of order.
//!
//! The seed is printed; `RELAY_SEED` gives it back. It fixes what each writer does, not how they meet.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lab::invariants::{self, Event, Violation};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::sleep;
use uuid::Uuid;

use crate::topic;
use crate::world::{Relay, World, execute};

const WRITERS: u64 = 6;
const KEYS: i32 = 4;
const KILLS: usize = 4;

/// The aggregates that writers lock, and what each transaction has told, by the same commit as the outbox.
const TABLES: &str = "
    CREATE TABLE aggregate (key int PRIMARY KEY, version int NOT NULL);
    INSERT INTO aggregate SELECT key, 0 FROM generate_series(0, 4) AS key;
    CREATE TABLE told (
        id uuid PRIMARY KEY, key int NOT NULL, version int NOT NULL, ordinal int NOT NULL,
        UNIQUE (key, version, ordinal)
    )";

/// A transaction of one statement: it waits for the aggregate's lock, and is through as soon as it has it, before the relay can
/// have looked again.
const AT_ONCE: &str = "
    WITH locked AS (UPDATE aggregate SET version = version + 1 WHERE key = $3 RETURNING version),
    told AS (INSERT INTO told SELECT $1, $3, version, 0 FROM locked)
    INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
    SELECT $1, $2, $3::text, 'test.Happened', '/test', '', '' FROM locked";

/// Belongs to the transaction that is open all the time.
const LONG_KEY: i32 = KEYS;

#[tokio::test]
async fn whatever_writers_do_and_whenever_the_relay_is_killed_the_invariants_hold() {
    let (committed, records) = meet(&["--page-rows", "25"]).await;
    assert_none(&invariants::at_least_once(&committed, &records));
}

#[tokio::test]
async fn exactly_once_nothing_comes_twice_either() {
    let (committed, records) = meet(&["--page-rows", "25", "--delivery", "exactly-once"]).await;
    assert_none(&invariants::exactly_once(&committed, &records));
}

fn assert_none(violations: &[Violation]) {
    let told: Vec<String> = violations.iter().take(20).map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), told.join("\n"));
}

/// Lets writers and a relay meet. Answers what was committed, in the order of each key's commits, and what stands on Kafka.
async fn meet(arguments: &[&str]) -> (Vec<Event>, Vec<Event>) {
    let seed = std::env::var("RELAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("RELAY_SEED={seed}");
    let world = World::new().await;
    execute(&mut world.connect().await, TABLES).await;
    let mut long = Writer::new(&world, seed).await;
    long.begin(&[LONG_KEY], false).await;
    long.tell(0).await;

    let enough = AtomicBool::new(false);
    let writers = (1..=WRITERS).map(async |number| {
        let mut writer = Writer::new(&world, seed.wrapping_add(number)).await;
        while !enough.load(Relaxed) {
            match writer.random.random() {
                true => writer.at_once().await,
                false => writer.transaction().await,
            }
        }
    });
    let writing = futures::future::join_all(writers);
    let killing = async {
        let relay = kill_now_and_then(&world, arguments, seed).await;
        enough.store(true, Relaxed);
        relay
    };
    let (relay, _) = tokio::join!(killing, writing);
    execute(&mut long.connection, "COMMIT").await;

    let mut connection = world.connect().await;
    let head: i64 = sqlx::query_scalar("SELECT max(sequence) FROM messaging.outbox")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    relay
        .until("main", |source| {
            source["head"] == head && source["open_gaps"] == 0 && source["in_flight"] == 0
        })
        .await;
    relay.stop().await;
    (committed(&mut connection, &world.topic).await, published(&world).await)
}

/// Runs a relay for a while, kills it, and so a few times. Answers the last one.
async fn kill_now_and_then(world: &World, arguments: &[&str], seed: u64) -> Relay {
    let mut random = StdRng::seed_from_u64(!seed);
    let mut relay = world.leader(arguments).await;
    for kills in 0.. {
        sleep(Duration::from_millis(random.random_range(50..1500))).await;
        if kills == KILLS {
            break;
        }
        relay.process.kill().await;
        relay = world.leader(arguments).await;
    }
    relay
}

async fn committed(connection: &mut PgConnection, topic: &str) -> Vec<Event> {
    let rows: Vec<(Uuid, i32)> =
        sqlx::query_as("SELECT id, key FROM told ORDER BY key, version, ordinal")
            .fetch_all(connection)
            .await
            .unwrap();
    let event = |(id, key): (Uuid, i32)| {
        let (topic, key) = (topic.to_owned(), key.to_string());
        Event { id, topic, key, partition: None }
    };
    rows.into_iter().map(event).collect()
}

/// What stands on the topic.
pub(crate) async fn published(world: &World) -> Vec<Event> {
    let records = topic::everything(&world.brokers, &world.topic).await;
    let event = |record: topic::Received| Event {
        id: record.header("ce_id").parse().unwrap(),
        topic: world.topic.clone(),
        key: record.key,
        partition: Some(record.partition),
    };
    records.into_iter().map(event).collect()
}

/// One session, and what it draws its decisions from.
struct Writer<'a> {
    topic: &'a str,
    connection: PgConnection,
    random: StdRng,
    /// The aggregates that the open transaction has locked, with the versions that it makes.
    locked: Vec<(i32, i32)>,
    ordinal: i32,
}

impl<'a> Writer<'a> {
    async fn new(world: &'a World, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let connection = world.connect().await;
        Self { topic: &world.topic, connection, random, locked: Vec::new(), ordinal: 0 }
    }

    /// Tells one event in one statement.
    async fn at_once(&mut self) {
        sqlx::query(AT_ONCE)
            .bind(Uuid::now_v7())
            .bind(self.topic)
            .bind(self.random.random_range(0..KEYS))
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// Locks a few aggregates, tells a few events, thinks better of some, and ends in one of four ways.
    async fn transaction(&mut self) {
        let count = self.random.random_range(1..=3);
        let mut keys = (0..KEYS).choose_multiple(&mut self.random, count);
        keys.sort_unstable();
        let prepares = self.random.random_ratio(1, 8);
        self.begin(&keys, prepares).await;
        for _ in 0..self.random.random_range(1..=4) {
            let key = self.random.random_range(0..count);
            self.tell_perhaps(key).await;
            self.dawdle().await;
        }
        let end = if self.random.random_ratio(3, 4) { "COMMIT" } else { "ROLLBACK" };
        if prepares {
            let gid = Uuid::now_v7();
            self.execute(format!("PREPARE TRANSACTION '{gid}'")).await;
            self.dawdle().await;
            self.execute(format!("{end} PREPARED '{gid}'")).await;
        } else {
            self.execute(end.to_owned()).await;
        }
    }

    /// Begins a transaction, and locks what it will speak of in the order of the keys.
    async fn begin(&mut self, keys: &[i32], prepares: bool) {
        self.execute("BEGIN".to_owned()).await;
        if prepares {
            self.execute("SET LOCAL messaging.two_phase = on".to_owned()).await;
        }
        self.locked.clear();
        self.ordinal = 0;
        for &key in keys {
            let version = sqlx::query_scalar(
                "UPDATE aggregate SET version = version + 1 WHERE key = $1 RETURNING version",
            )
            .bind(key)
            .fetch_one(&mut self.connection)
            .await
            .unwrap();
            self.locked.push((key, version));
        }
    }

    /// Tells an event, now and then behind a savepoint to which it may go back.
    async fn tell_perhaps(&mut self, key: usize) {
        let savepoint = self.random.random_ratio(1, 3);
        if savepoint {
            self.execute("SAVEPOINT before".to_owned()).await;
        }
        self.tell(key).await;
        if savepoint && self.random.random() {
            self.execute("ROLLBACK TO before".to_owned()).await;
        }
    }

    /// Appends an event to the outbox, now and then straight to the partition, and notes it down.
    async fn tell(&mut self, key: usize) {
        let (id, (key, version)) = (Uuid::now_v7(), self.locked[key]);
        let straight = self.random.random_ratio(1, 5);
        let table = if straight { "messaging.outbox_p00000000" } else { "messaging.outbox" };
        let statement = format!(
            "INSERT INTO {table} (id, aggregatetype, aggregateid, type, source, subject, payload)
            VALUES ($1, $2, $3, 'test.Happened', '/test', '', '')"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(id)
            .bind(self.topic)
            .bind(key.to_string())
            .execute(&mut self.connection)
            .await
            .unwrap();
        self.ordinal += 1;
        sqlx::query("INSERT INTO told VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(key)
            .bind(version)
            .bind(self.ordinal)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// From no time at all to longer than the relay takes for a look.
    async fn dawdle(&mut self) {
        if self.random.random() {
            sleep(Duration::from_micros(self.random.random_range(0..6000))).await;
        }
    }

    async fn execute(&mut self, statement: String) {
        execute(&mut self.connection, statement).await;
    }
}
