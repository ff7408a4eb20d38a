//! The WAL feed: commit order across keys, and a slot that may go at any moment without a row going with it.

use std::time::Duration;

use lab::stack::{Postgres, Stack};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::topic;
use crate::world::{PATIENCE, Relay, World, execute};

const WAL: &[&str] = &["--feed", "wal"];

/// A world of these tests. They have a server of their own, because a slot is made only once every transaction that is writing,
/// in any database, has ended. The topic has one partition, so that the order across keys shows.
///
/// A test that keeps a transaction open has a server to itself, by [`world_on`].
async fn world() -> World {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    let stack = Stack::shared().await.unwrap();
    let server = SERVER.get_or_init(async || stack.fresh_postgres().await.unwrap()).await;
    world_on(server).await
}

pub(crate) async fn own_server(settings: &[&str]) -> Postgres {
    Stack::shared().await.unwrap().fresh_postgres_with(settings).await.unwrap()
}

pub(crate) async fn world_on(server: &Postgres) -> World {
    let mut world = World::new().await;
    world.url = server.create_database(&format!("wal_{}", Uuid::now_v7().simple())).await.unwrap();
    let mut connection = world.connect().await;
    let sql = AssertSqlSafe(outbox_relay::outbox_sql());
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    world.topic = format!("ordered.{}", Uuid::now_v7().simple());
    topic::create(&world.brokers, &world.topic, 1).await;
    world
}

pub(crate) fn feed(source: &Value) -> &str {
    source["feed"].as_str().unwrap_or_default()
}

/// A relay that follows the WAL.
pub(crate) async fn following(world: &World, arguments: &[&str]) -> Relay {
    let relay = world.relay(&[WAL, arguments].concat());
    relay.until("main", |source| feed(source) == "wal").await;
    relay
}

pub(crate) async fn scalar<T>(connection: &mut PgConnection, query: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}

async fn slots(connection: &mut PgConnection) -> i64 {
    let count = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND wal_status <> 'lost'";
    scalar(connection, count).await
}

/// Two transactions that commit in the opposite order of their numbers, `second` first.
async fn commit_crosswise(world: &World, first: &str, second: &str) {
    let (mut early, mut late) = (world.connect().await, world.connect().await);
    let mut early = early.begin().await.unwrap();
    world.insert(&mut early, "a", first).await;
    let mut late = late.begin().await.unwrap();
    world.insert(&mut late, "b", second).await;
    late.commit().await.unwrap();
    early.commit().await.unwrap();
}

/// Writes about `megabytes` of WAL that has nothing for the outbox.
async fn write_elsewhere(connection: &mut PgConnection, megabytes: usize) {
    execute(connection, "CREATE TABLE IF NOT EXISTS elsewhere (filler text)").await;
    execute(
        connection,
        format!(
            "INSERT INTO elsewhere
            SELECT string_agg(md5(number::text || part::text), '') FROM generate_series(1, {megabytes} * 8) AS number,
                generate_series(1, 4096) AS part GROUP BY number"
        ),
    )
    .await;
}

#[tokio::test]
async fn rows_come_in_the_order_of_their_commits_across_keys_also_after_a_restart() {
    let world = world().await;
    let relay = following(&world, &[]).await;
    // It sees both at once, and not one after the other.
    relay.process.pause();
    commit_crosswise(&world, "second", "first").await;
    relay.process.resume();
    assert_eq!(world.subjects(2).await, ["first", "second"]);
    relay.stop().await;
    commit_crosswise(&world, "fourth", "third").await;
    let relay = following(&world, &[]).await;
    assert_eq!(world.subjects(4).await, ["first", "second", "third", "fourth"]);
    relay.stop().await;
}

#[tokio::test]
async fn what_was_rolled_back_is_given_up_and_what_was_prepared_is_waited_for() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let (mut connection, mut other) = (world.connect().await, world.connect().await);
    let mut open = connection.begin().await.unwrap();
    world.insert(&mut open, "a", "before").await;
    let mut savepoint = open.begin().await.unwrap();
    world.insert(&mut savepoint, "a", "undone").await;
    savepoint.rollback().await.unwrap();
    world.insert(&mut open, "a", "after").await;
    let mut aborted = other.begin().await.unwrap();
    world.insert(&mut aborted, "b", "rolled back").await;
    aborted.rollback().await.unwrap();
    open.commit().await.unwrap();
    world.insert(&mut other, "b", "next").await;
    relay.until("main", |source| source["watermark"] == 5 && source["open_gaps"] == 0).await;
    let gid = format!("test-{}", Uuid::now_v7());
    execute(&mut connection, "BEGIN; SET LOCAL messaging.two_phase = on").await;
    world.insert(&mut connection, "c", "prepared").await;
    execute(&mut connection, format!("PREPARE TRANSACTION '{gid}'")).await;
    world.insert(&mut other, "d", "at once").await;
    assert_eq!(world.subjects(4).await, ["before", "after", "next", "at once"]);
    let (ready, source) = relay.until("main", |source| source["open_gaps"] == 1).await;
    assert!(ready && source["watermark"] == 5, "an open gap is no stall: {source}");
    let held_by = |source: &Value| source["oldest_gap_held_by"][0].is_string();
    let (_, source) = relay.until("main", held_by).await;
    assert_eq!(source["oldest_gap_held_by"][0], format!("prepared transaction '{gid}'"));
    execute(&mut connection, format!("COMMIT PREPARED '{gid}'")).await;
    assert_eq!(world.subjects(5).await.last().unwrap(), "prepared");
    let (_, source) = relay.until("main", |source| source["watermark"] == 7).await;
    assert_eq!(feed(&source), "wal");
    relay.stop().await;
}

#[tokio::test]
async fn a_large_transaction_that_was_rolled_back_is_given_up_part_by_part() {
    const ROWS: i64 = 350_000;
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let (mut large, mut other) = (world.connect().await, world.connect().await);
    execute(&mut large, "BEGIN").await;
    world.insert_many(&mut large, "large", ROWS).await;
    world.insert(&mut other, "a", "at once").await;
    assert_eq!(world.subjects(1).await, ["at once"]);
    let (_, source) = relay.until("main", |source| source["open_gaps"] == 1).await;
    assert_eq!(source["watermark"], 0, "{source}");
    execute(&mut large, "ROLLBACK").await;
    let (_, source) = relay.until("main", |source| source["watermark"] == ROWS + 1).await;
    assert_eq!(feed(&source), "wal");
    relay.stop().await;
}

#[tokio::test]
async fn a_record_has_all_that_the_table_would_have_given_it() {
    let world = world().await;
    let mut connection = world.connect().await;
    execute(&mut connection, "ALTER TABLE messaging.outbox ADD COLUMN added int DEFAULT 7").await;
    let relay = following(&world, &[]).await;
    sqlx::query(
        "INSERT INTO messaging.outbox
            (id, aggregatetype, aggregateid, type, source, subject, created_at, correlationid, tracestate, payload)
        VALUES (gen_random_uuid(), $1, 'order-1', 'T', '/s', 'ü', '2026-11-21T10:00:00.123456Z', 'saga', 'a=b', '\\x00ff10')",
    )
    .bind(&world.topic)
    .execute(&mut connection)
    .await
    .unwrap();
    let record = world.received(1).await.remove(0);
    assert_eq!((record.key.as_str(), record.timestamp_ms), ("order-1", 1_795_255_200_123));
    assert_eq!(record.payload, [0x00, 0xff, 0x10]);
    assert_eq!((record.header("ce_subject"), record.header("ce_type")), ("ü", "T"));
    assert_eq!(record.header("ce_time"), "2026-11-21T10:00:00.123456Z");
    assert_eq!((record.header("ce_correlationid"), record.header("tracestate")), ("saga", "a=b"));
    assert!(!record.headers.contains_key("ce_causationid"));
    relay.stop().await;
}

#[tokio::test]
async fn rows_of_a_partition_that_is_made_later_come_too() {
    let world = world().await;
    let relay = following(&world, &["--partitions-ahead", "0"]).await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    execute(
        &mut connection,
        "CREATE TABLE messaging.later (LIKE messaging.outbox INCLUDING ALL);
        ALTER TABLE messaging.outbox ATTACH PARTITION messaging.later FOR VALUES FROM (120000000) TO (130000000);
        SELECT setval('messaging.outbox_sequence', 120000000)",
    )
    .await;
    world.insert(&mut connection, "a", "2").await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    let (_, source) = relay.until("main", |source| source["watermark"] == source["head"]).await;
    assert_eq!((feed(&source), &source["head"]), ("wal", &Value::from(120_000_001)));
    relay.stop().await;
}

#[tokio::test]
async fn a_slot_that_somebody_drops_is_made_again_and_nothing_is_lost() {
    let world = world().await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"]);
    relay.process.pause();
    world.insert(&mut connection, "a", "2").await;
    execute(
        &mut connection,
        "DO $$ BEGIN
            PERFORM pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots
            WHERE database = current_database() AND active_pid IS NOT NULL;
            PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots
            WHERE database = current_database();
        END $$",
    )
    .await;
    assert_eq!(slots(&mut connection).await, 0);
    world.insert(&mut connection, "a", "3").await;
    relay.process.resume();
    world.insert(&mut connection, "a", "4").await;
    let made_again = async || slots(&mut world.connect().await).await == 1;
    relay.process.ready(PATIENCE, made_again).await.unwrap();
    relay.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut connection, "a", "5").await;
    assert_eq!(world.subjects(5).await, ["1", "2", "3", "4", "5"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_slot_that_the_server_has_invalidated_is_made_again_and_nothing_is_lost() {
    let server = own_server(&["max_slot_wal_keep_size=1MB"]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    relay.process.pause();
    world.insert(&mut connection, "a", "1").await;
    write_elsewhere(&mut connection, 40).await;
    execute(&mut connection, "SELECT pg_switch_wal()").await;
    execute(&mut connection, "CHECKPOINT").await;
    let status: String =
        scalar(&mut connection, "SELECT wal_status FROM pg_replication_slots").await;
    assert_eq!(status, "lost");
    world.insert(&mut connection, "a", "2").await;
    relay.process.resume();
    let made_again = async || slots(&mut world.connect().await).await == 1;
    relay.process.ready(PATIENCE, made_again).await.unwrap();
    relay.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut connection, "a", "3").await;
    assert_eq!(world.subjects(3).await, ["1", "2", "3"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_slot_over_its_budget_is_dropped_and_said_and_made_again_when_it_can_be() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &["--wal-budget-bytes", "20000000"]).await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    // As long as this one has not ended, the server keeps the WAL from here on for the slot.
    execute(&mut holder, "BEGIN; CREATE TABLE held ()").await;
    write_elsewhere(&mut connection, 40).await;
    relay.until("main", |source| feed(source).contains("over --wal-budget-bytes")).await;
    world.insert(&mut connection, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"], "the table is polled");
    relay.until("main", |_| relay.metric("store_relay_feed_wal") == Some(0.0)).await;
    execute(&mut holder, "COMMIT").await;
    relay.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut connection, "a", "2").await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_transaction_that_was_open_when_the_slot_was_made_is_waited_for_at_the_table() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    let mut open = holder.begin().await.unwrap();
    world.insert(&mut open, "a", "late").await;
    let relay = world.leader(WAL).await;
    world.insert(&mut connection, "b", "at once").await;
    assert_eq!(world.subjects(1).await, ["at once"]);
    let (ready, source) = relay.until("main", |source| source["open_gaps"] == 1).await;
    assert!(ready && feed(&source).starts_with("table ("), "{source}");
    open.commit().await.unwrap();
    relay.until("main", |source| feed(source) == "wal").await;
    assert_eq!(world.subjects(2).await, ["at once", "late"]);
    relay.stop().await;
}

#[tokio::test]
async fn without_the_privilege_the_table_is_polled_and_with_it_the_slot_is_made() {
    let mut world = world().await;
    let mut connection = world.connect().await;
    let role = format!("relay_{}", Uuid::now_v7().simple());
    execute(
        &mut connection,
        format!(
            "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {} TO {role}; GRANT ALL ON SCHEMA messaging TO {role};
            GRANT ALL ON ALL TABLES IN SCHEMA messaging TO {role};
            GRANT ALL ON ALL SEQUENCES IN SCHEMA messaging TO {role};
            ALTER TABLE messaging.outbox OWNER TO {role}",
            world.url.rsplit('/').next().unwrap()
        ),
    )
    .await;
    world.url = world.url.replace("postgres@", &format!("{role}@"));
    let relay = world.leader(WAL).await;
    relay.until("main", |source| feed(source).contains("permission denied")).await;
    world.insert(&mut connection, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"]);
    execute(&mut connection, format!("ALTER ROLE {role} REPLICATION")).await;
    relay.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut connection, "a", "2").await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    relay.stop().await;
}

#[tokio::test]
async fn where_the_wal_is_not_logical_the_table_is_polled_and_it_is_said_why() {
    let server = own_server(&["wal_level=replica"]).await;
    let world = world_on(&server).await;
    let relay = world.leader(WAL).await;
    let (ready, _) = relay.until("main", |source| feed(source).contains("wal_level")).await;
    assert!(ready, "the table is as good");
    world.insert(&mut world.connect().await, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_publication_that_somebody_changes_is_noticed_before_anything_is_lost() {
    let world = world().await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    for change in [
        "ALTER PUBLICATION messaging_outbox SET (publish = 'update')",
        "ALTER PUBLICATION messaging_outbox SET TABLE messaging.outbox WHERE (sequence % 2 = 0)",
        "DROP PUBLICATION messaging_outbox",
    ] {
        execute(&mut connection, change).await;
        for number in 0..5 {
            world.insert(&mut connection, "a", &number.to_string()).await;
        }
        relay.until("main", |source| feed(source).starts_with("table (")).await;
        execute(&mut connection, "DROP PUBLICATION IF EXISTS messaging_outbox").await;
        relay.until("main", |source| feed(source) == "wal").await;
    }
    let subjects = world.subjects(15).await;
    assert_eq!(subjects.len(), 15);
    relay.until("main", |source| source["watermark"] == 15).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_slot_confirms_what_kafka_has_acknowledged_and_nothing_more() {
    let stack = Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let mut world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let server = stack.fresh_postgres().await.unwrap();
    world.url = server.create_database("confirmed").await.unwrap();
    let mut connection = world.connect().await;
    let sql = AssertSqlSafe(outbox_relay::outbox_sql());
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    let relay = following(&world, &[]).await;
    kafka.pause().await.unwrap();
    execute(&mut connection, "CREATE TABLE mark AS SELECT pg_current_wal_lsn() AS lsn").await;
    world.insert(&mut connection, "a", "1").await;
    write_elsewhere(&mut connection, 2).await;
    relay.until("main", |source| source["in_flight"] == 1).await;
    // Twice as long as the slot is told of what is confirmed: it is never told of what is not.
    tokio::time::sleep(Duration::from_secs(2)).await;
    const BEHIND: &str = "SELECT confirmed_flush_lsn <= lsn FROM pg_replication_slots, mark";
    assert!(scalar::<bool>(&mut connection, BEHIND).await);
    kafka.resume().await.unwrap();
    let confirmed = relay
        .process
        .ready(PATIENCE, async || !scalar::<bool>(&mut world.connect().await, BEHIND).await);
    confirmed.await.unwrap();
    relay.stop().await;
}

#[tokio::test]
async fn an_idle_outbox_does_not_hold_back_the_wal_of_other_tables() {
    let world = world().await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    write_elsewhere(&mut connection, 2).await;
    execute(&mut connection, "CREATE TABLE mark AS SELECT pg_current_wal_lsn() AS lsn").await;
    let passed = relay.process.ready(PATIENCE, async || {
        let query = "SELECT confirmed_flush_lsn >= lsn FROM pg_replication_slots, mark WHERE database = current_database()";
        scalar::<bool>(&mut world.connect().await, query).await
    });
    passed.await.unwrap();
    relay.stop().await;
}

#[tokio::test]
async fn a_standby_does_not_touch_the_slot_and_takes_it_over() {
    let world = world().await;
    let leader = following(&world, &[]).await;
    let standby = world.relay(WAL);
    let (_, source) = standby.until("main", |source| source["state"] == "standby").await;
    assert_eq!(source["feed"], Value::Null);
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"]);
    leader.process.kill().await;
    world.insert(&mut connection, "a", "2").await;
    standby.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut connection, "a", "3").await;
    standby.until("main", |source| source["watermark"] == 3).await;
    let mut subjects = world.subjects(3).await;
    subjects.dedup();
    assert_eq!(subjects, ["1", "2", "3"]);
    standby.stop().await;
}

#[tokio::test]
async fn with_the_table_as_its_feed_the_relay_leaves_no_slot_behind() {
    let world = world().await;
    following(&world, &[]).await.stop().await;
    let mut connection = world.connect().await;
    assert_eq!(slots(&mut connection).await, 1, "it is there for the next start");
    let relay = world.leader(&[]).await;
    relay.until("main", |source| feed(source) == "table").await;
    assert_eq!(slots(&mut connection).await, 0);
    relay.stop().await;
}

#[tokio::test]
async fn a_transaction_of_many_rows_streams_through_little_memory() {
    const ROWS: usize = 60_000;
    let world = world().await;
    let relay = following(&world, &["--bytes-in-flight", "4000000"]).await;
    execute(
        &mut world.connect().await,
        format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            SELECT gen_random_uuid(), '{}', 'big', 'T', 's', number::text, convert_to(repeat('x', 1500), 'UTF8')
            FROM generate_series(1, {ROWS}) AS number",
            world.topic
        ),
    )
    .await;
    relay.until("main", |source| source["watermark"] == ROWS && source["in_flight"] == 0).await;
    let peak = crate::limits::peak_kb(&relay);
    println!("peak resident memory on a transaction of {ROWS} rows: {peak} kB");
    assert!(peak < crate::limits::CAP_KB, "{peak} kB");
    relay.stop().await;
    let subjects = world.subjects(ROWS).await;
    assert!(
        subjects.iter().enumerate().all(|(index, subject)| *subject == (index + 1).to_string())
    );
}
