//! The WAL feed where commits, slots and streams meet at the worst moment.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::wal::{feed, following, own_server, scalar, world_on};
use crate::world::{PATIENCE, Relay, World, execute};

/// Waits until a query of the database says yes.
async fn until_database(world: &World, relay: &Relay, query: &str) {
    let says = async || {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        query.fetch_one(&mut world.connect().await).await.unwrap()
    };
    relay.process.ready(PATIENCE, says).await.unwrap();
}

/// Freezes the walsender of the relay, and lets it go on when dropped.
struct FrozenWalsender(Pid);

impl FrozenWalsender {
    async fn new(connection: &mut PgConnection) -> Self {
        let pid: i32 = scalar(
            connection,
            "SELECT pid FROM pg_stat_replication WHERE application_name = 'outbox-relay wal'",
        )
        .await;
        let pid = Pid::from_raw(pid);
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for FrozenWalsender {
    fn drop(&mut self) {
        let _gone = kill(self.0, Signal::SIGCONT);
    }
}

/// Whether who makes a slot waits for the transaction that has created this table.
fn waits_for(table: &str) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity AS maker, pg_stat_activity AS holder
        WHERE maker.application_name = 'outbox-relay slot' AND holder.pid = ANY (pg_blocking_pids(maker.pid))
            AND holder.query LIKE '%{table}%')"
    )
}

async fn pid(connection: &mut PgConnection) -> i32 {
    scalar(connection, "SELECT pg_backend_pid()").await
}

/// A commit is in the WAL before it is visible; here a synchronous standby that does not exist keeps it in between. Such a commit may
/// lie before the slot's start, so that the slot never tells of it, and yet not be visible to who polls the table.
#[tokio::test]
async fn a_commit_between_the_wal_and_visibility_when_the_slot_is_made_is_not_overtaken() {
    let server =
        own_server(&["synchronous_standby_names=nobody", "synchronous_commit=local"]).await;
    let world = world_on(&server).await;
    let mut connection = world.connect().await;
    execute(&mut connection, "CREATE TABLE aggregate AS SELECT 0 AS version").await;
    // The slot is made in three steps, and each waits for those who were writing at the one before.
    let (mut first, mut second) = (world.connect().await, world.connect().await);
    execute(&mut first, "BEGIN; CREATE TABLE held_first ()").await;
    let relay = world.relay(&["--feed", "wal"]);
    until_database(&world, &relay, &waits_for("held_first")).await;
    execute(&mut second, "BEGIN; CREATE TABLE held_second ()").await;
    execute(&mut first, "ROLLBACK").await;
    until_database(&world, &relay, &waits_for("held_second")).await;

    let mut stuck = world.connect().await;
    let stuck_pid = pid(&mut stuck).await;
    execute(&mut stuck, "SET synchronous_commit = on; BEGIN; UPDATE aggregate SET version = 1")
        .await;
    world.insert(&mut stuck, "a", "1").await;
    let committing = execute(&mut stuck, "COMMIT");
    let meanwhile = async {
        const STUCK: &str =
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')";
        until_database(&world, &relay, STUCK).await;
        execute(&mut second, "ROLLBACK").await;
        const MADE: &str = "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL)";
        until_database(&world, &relay, MADE).await;
        let follows_or_waits =
            |source: &Value| feed(source) == "wal" || feed(source).contains("have ended");
        relay.until("main", follows_or_waits).await;
        let mut next = world.connect().await;
        let following = async {
            execute(&mut next, "BEGIN; UPDATE aggregate SET version = 2").await;
            world.insert(&mut next, "a", "2").await;
            execute(&mut next, "COMMIT").await;
        };
        let release = async {
            const BLOCKED: &str = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
            until_database(&world, &relay, BLOCKED).await;
            execute(&mut connection, format!("SELECT pg_cancel_backend({stuck_pid})")).await;
        };
        tokio::join!(following, release);
    };
    tokio::join!(committing, meanwhile);
    relay.until("main", |source| feed(source) == "wal" && source["head"] == 2).await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_gap_is_not_given_up_while_the_stream_may_still_bring_it() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let (mut connection, mut late) = (world.connect().await, world.connect().await);
    let mut open = late.begin().await.unwrap();
    world.insert(&mut open, "a", "late").await;
    world.insert(&mut connection, "b", "at once").await;
    relay.until("main", |source| source["open_gaps"] == 1).await;
    let frozen = FrozenWalsender::new(&mut connection).await;
    open.commit().await.unwrap();
    // The relay looks at the table several times meanwhile, and sees that nobody holds the gap open.
    execute(&mut connection, "CREATE TABLE mark AS SELECT clock_timestamp() AS at").await;
    const LATER: &str = "SELECT beat_at > at + interval '2 s' FROM messaging.outbox_leader, mark";
    until_database(&world, &relay, LATER).await;
    drop(frozen);
    let (_, source) = relay.until("main", |source| source["watermark"] == 2).await;
    assert_eq!(feed(&source), "wal", "the stream was right all the time");
    assert_eq!(world.subjects(2).await, ["at once", "late"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_while_rows_wait_is_left_for_the_table() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    let frozen = FrozenWalsender::new(&mut connection).await;
    world.insert(&mut connection, "a", "1").await;
    let (ready, _) = relay.until("main", |source| feed(source).starts_with("table (")).await;
    assert!(ready, "the table is as good");
    assert_eq!(world.subjects(1).await, ["1"]);
    drop(frozen);
    relay.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut connection, "a", "2").await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    relay.stop().await;
}

/// The stream and the table were about to be compared while nothing waited.
#[tokio::test]
async fn a_stream_that_fell_silent_before_a_row_came_is_left_for_the_table_as_well() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    let _frozen = FrozenWalsender::new(&mut connection).await;
    let now: String = scalar(&mut connection, "SELECT clock_timestamp()::text").await;
    // They are compared once a second, and each beat writes WAL that the stream does not pass any more.
    let beaten = format!(
        "SELECT beat_at > '{now}'::timestamptz + interval '3 s' FROM messaging.outbox_leader"
    );
    until_database(&world, &relay, &beaten).await;
    world.insert(&mut connection, "a", "1").await;
    relay.until("main", |source| feed(source).starts_with("table (")).await;
    assert_eq!(world.subjects(1).await, ["1"]);
    relay.stop().await;
}

/// More rows than are looked through at once stand above the one that is missing, and none of them is visible.
#[tokio::test]
async fn below_a_large_transaction_that_is_open_a_row_that_the_stream_lacks_is_found() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let (mut late, mut large) = (world.connect().await, world.connect().await);
    execute(&mut late, "ALTER PUBLICATION messaging_outbox SET (publish = 'update')").await;
    execute(&mut late, "BEGIN").await;
    world.insert(&mut late, "a", "late").await;
    execute(&mut large, "BEGIN").await;
    world.insert_many(&mut large, "b", 250_000).await;
    execute(&mut late, "COMMIT").await;
    relay.until("main", |source| feed(source).starts_with("table (")).await;
    assert!(relay.log().contains("has not brought number 1,"), "{}", relay.log());
    assert_eq!(world.subjects(1).await, ["late"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_slot_that_somebody_has_moved_on_is_not_trusted() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    following(&world, &[]).await.stop().await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    execute(
        &mut connection,
        "SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots",
    )
    .await;
    let relay = following(&world, &[]).await;
    world.insert(&mut connection, "a", "2").await;
    assert_eq!(world.subjects(2).await, ["1", "2"]);
    relay.stop().await;
}

#[tokio::test]
async fn after_a_crash_of_the_server_the_slot_is_followed_on() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    world.insert(&mut world.connect().await, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"]);
    server.kill().await.unwrap();
    relay.until("main", |source| source["ready"] == false).await;
    server.start().await.unwrap();
    relay.until("main", |source| feed(source) == "wal").await;
    world.insert(&mut world.connect().await, "a", "2").await;
    relay.until("main", |source| source["watermark"] == source["head"]).await;
    let mut subjects = world.subjects(2).await;
    subjects.dedup();
    assert_eq!(subjects, ["1", "2"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_parked_key_waits_and_is_released_as_under_the_other_feed() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    execute(
        &mut connection,
        format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            VALUES (gen_random_uuid(), '{}', 'a', 'T', 's', 'too large', convert_to(repeat('x', 3000000), 'UTF8'))",
            world.topic
        ),
    )
    .await;
    world.insert(&mut connection, "a", "follower").await;
    world.insert(&mut connection, "b", "other").await;
    assert_eq!(world.subjects(1).await, ["other"]);
    relay.until("main", |source| source["parked_keys"] == 1).await;
    execute(
        &mut connection,
        "INSERT INTO messaging.outbox_command (command, aggregatetype, aggregateid, event_id)
        SELECT 'skip', aggregatetype, aggregateid, id FROM messaging.outbox WHERE subject = 'too large'",
    )
    .await;
    world.insert(&mut connection, "a", "last").await;
    assert_eq!(world.subjects(3).await, ["other", "follower", "last"]);
    let (_, source) = relay.until("main", |source| source["parked_keys"] == 0).await;
    assert_eq!(feed(&source), "wal");
    relay.stop().await;
}

/// The stream goes by the same URL as everything else: its password, its certificates.
#[tokio::test]
async fn the_stream_is_encrypted_and_authenticated_as_the_url_says() {
    let server = own_server(&[]).await;
    let mut world = world_on(&server).await;
    let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let root = world.stack.directory().join("server.pem");
    std::fs::write(&root, certificate.cert.pem()).unwrap();
    secure(
        &mut world.connect().await,
        &certificate.cert.pem(),
        &certificate.signing_key.serialize_pem(),
    )
    .await;
    world.url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        world.url.replace("postgres@", "streamer:p%40ss%2Fw%C3%B6rd%25@"),
        root.display()
    );
    let relay = following(&world, &[]).await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "1").await;
    assert_eq!(world.subjects(1).await, ["1"]);
    const ENCRYPTED: &str =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name LIKE 'outbox-relay%'";
    assert!(scalar::<bool>(&mut connection, ENCRYPTED).await);
    relay.stop().await;
}

/// Has the server take TLS connections only, with a password, of a superuser `streamer`.
async fn secure(connection: &mut PgConnection, certificate: &str, key: &str) {
    for (file, text) in [
        ("server.crt", certificate),
        ("server.key", key),
        ("pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256"),
    ] {
        let lines: Vec<String> = text.lines().map(|line| format!("('{line}')")).collect();
        execute(
            connection,
            format!(
                "COPY (VALUES {}) TO PROGRAM 'cat > {file} && chmod 600 {file}'",
                lines.join(", ")
            ),
        )
        .await;
    }
    execute(connection, "CREATE ROLE streamer LOGIN SUPERUSER PASSWORD 'p@ss/wörd%'").await;
    execute(connection, "ALTER SYSTEM SET ssl = on").await;
    execute(connection, "SELECT pg_reload_conf()").await;
}
