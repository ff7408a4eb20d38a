//! A large transaction that is open: a look does not go through its rows, however many there are.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::world::{PATIENCE, Relay, World, execute};

/// Rows of the large transaction.
const ROWS: usize = 200_000;

/// Index entries that a look goes through at most, on average.
const FEW: i64 = 100;

/// So many scans of the index make up an average.
const SCANS: i64 = 100;

/// Begins a transaction, locks its key's aggregate, and writes its rows.
async fn begin(world: &World, connection: &mut PgConnection) {
    execute(
        connection,
        "BEGIN;
        SET LOCAL messaging.two_phase = on;
        SELECT pg_advisory_xact_lock(1)",
    )
    .await;
    world.insert_many(connection, "large", ROWS).await;
}

/// Waits for the key's lock, and writes its next row as soon as it has it, before the relay can have looked again.
async fn follow(world: &World, connection: &mut PgConnection) {
    let follower = format!(
        "WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(1))
        INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        SELECT gen_random_uuid(), '{}', 'large', 'T', 's', '{}', '' FROM locked",
        world.topic,
        ROWS + 1
    );
    // Visible at once: nothing is waited for between the two commits.
    execute(connection, "SET synchronous_commit = off").await;
    execute(connection, follower).await;
}

/// Ends the prepared transaction once its follower waits.
async fn commit(relay: &Relay, connection: &mut PgConnection) {
    let waits = relay.process.ready(PATIENCE, async || {
        let waiting =
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut *connection).await.unwrap()
    });
    waits.await.unwrap();
    execute(connection, "COMMIT PREPARED 'large'").await;
}

/// Scans of the index over the numbers, and the entries that they have gone through, visible or not, as far as sessions have told.
async fn scanned(connection: &mut PgConnection) -> (i64, i64) {
    sqlx::query_as(
        "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes
        JOIN pg_index USING (indexrelid)
        WHERE pg_stat_user_indexes.relname = 'outbox_p00000000' AND indisprimary",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

/// Entries that [`SCANS`] scans or more have gone through on average, while others write.
async fn entries_per_scan(world: &World, relay: &Relay, connection: &mut PgConnection) -> i64 {
    let (scans, entries) = scanned(connection).await;
    let mut later = (scans, entries);
    let told = relay.process.ready(PATIENCE, async || {
        world.insert(connection, "other", "passes").await;
        later = scanned(connection).await;
        later.0 - scans >= SCANS
    });
    told.await.unwrap();
    (later.1 - entries) / (later.0 - scans)
}

/// Waits until a look is cheap although the transaction is open.
async fn until_passed_over(world: &World, relay: &Relay, connection: &mut PgConnection) {
    let mut entries = 0;
    let waited = relay.process.ready(PATIENCE * 2, async || {
        entries = entries_per_scan(world, relay, connection).await;
        entries < FEW
    });
    waited.await.unwrap_or_else(|error| panic!("{error}: {entries} entries in each scan"));
}

/// Waits until every row is on Kafka.
async fn until_all_is_sent(relay: &Relay, connection: &mut PgConnection) {
    let last: i64 = sqlx::query_scalar("SELECT max(sequence) FROM messaging.outbox")
        .fetch_one(connection)
        .await
        .unwrap();
    let sent = |source: &Value| source["watermark"].as_i64() >= Some(last);
    relay.until("main", |source| sent(source) && source["in_flight"] == 0).await;
}

/// The subjects of the large transaction's records, in the order in which they stand.
async fn large_ones(world: &World, count: usize) -> Vec<usize> {
    let received = world.received(count).await;
    let large = received.iter().filter(|record| record.key == "large");
    large.map(|record| record.header("ce_subject").parse().unwrap()).collect()
}

/// How many rows are visible.
async fn rows(connection: &mut PgConnection) -> usize {
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM messaging.outbox")
        .fetch_one(connection)
        .await
        .unwrap();
    usize::try_from(rows).unwrap()
}

#[tokio::test]
async fn a_large_transaction_is_passed_over_while_it_is_open_and_comes_whole_and_in_order() {
    let world = World::new().await;
    let (mut large, mut other) = (world.connect().await, world.connect().await);
    let relay = world.leader(&[]).await;
    begin(&world, &mut large).await;
    world.insert(&mut other, "other", "at once").await;
    assert_eq!(world.subjects(1).await, ["at once"]);
    until_passed_over(&world, &relay, &mut other).await;

    relay.process.kill().await;
    let relay = world.leader(&[]).await;
    until_passed_over(&world, &relay, &mut other).await;

    execute(&mut large, "PREPARE TRANSACTION 'large'").await;
    until_passed_over(&world, &relay, &mut other).await;

    tokio::join!(follow(&world, &mut other), commit(&relay, &mut large));
    until_all_is_sent(&relay, &mut other).await;
    relay.stop().await;
    let numbers = large_ones(&world, rows(&mut other).await).await;
    assert!(
        numbers.iter().copied().eq(1..=ROWS + 1),
        "{:?} ... {:?}",
        numbers.first(),
        numbers.last()
    );
}

#[tokio::test]
async fn a_large_transaction_that_is_rolled_back_is_given_up_without_being_gone_through_again() {
    let world = World::new().await;
    let (mut large, mut other) = (world.connect().await, world.connect().await);
    let relay = world.leader(&[]).await;
    begin(&world, &mut large).await;
    until_passed_over(&world, &relay, &mut other).await;

    let (_, entries) = scanned(&mut other).await;
    execute(&mut large, "ROLLBACK").await;
    relay
        .until("main", |source| source["open_gaps"] == 0 && source["watermark"] == source["head"])
        .await;
    // What has been gone through until now is told by then.
    until_passed_over(&world, &relay, &mut other).await;
    let (_, later) = scanned(&mut other).await;
    until_all_is_sent(&relay, &mut other).await;
    assert!(later - entries < ROWS as i64 / 2, "{} entries", later - entries);
    relay.stop().await;
    assert!(large_ones(&world, rows(&mut other).await).await.is_empty());
}

/// The source's address for a role that may publish, and sees nothing of what others' sessions do.
async fn as_stranger(world: &World, connection: &mut PgConnection) -> String {
    let role = format!("stranger_{}", Uuid::now_v7().simple());
    execute(
        connection,
        format!(
            "CREATE ROLE {role} LOGIN;
            GRANT USAGE ON SCHEMA messaging TO {role};
            GRANT SELECT ON ALL TABLES IN SCHEMA messaging TO {role};
            GRANT SELECT ON ALL SEQUENCES IN SCHEMA messaging TO {role};
            GRANT UPDATE ON messaging.outbox_epoch, messaging.outbox_leader, messaging.outbox_command TO {role};
            GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {role}"
        ),
    )
    .await;
    format!("main={}", world.url.replace("postgres@", &format!("{role}@")))
}

#[tokio::test]
async fn a_role_that_sees_no_other_sessions_passes_a_large_transaction_over_and_is_told_the_grant_it_lacks()
 {
    let world = World::new().await;
    let (mut large, mut other) = (world.connect().await, world.connect().await);
    let relay = world.relay_of(&as_stranger(&world, &mut other).await, &[]);
    relay.until("main", |source| source["state"] == "leader").await;
    begin(&world, &mut large).await;
    execute(&mut large, "SAVEPOINT later").await;
    execute(&mut large, "CREATE TABLE with_an_id_of_its_own ()").await;
    until_passed_over(&world, &relay, &mut other).await;
    let (_, source) = relay.until("main", |source| source["open_gaps"] == 1).await;
    let holder = source["oldest_gap_held_by"][0].as_str().unwrap();
    assert!(holder.contains("GRANT pg_read_all_stats TO stranger_"), "{holder}");

    execute(&mut large, "COMMIT").await;
    until_all_is_sent(&relay, &mut other).await;
    relay.stop().await;
    let numbers = large_ones(&world, rows(&mut other).await).await;
    assert!(numbers.iter().copied().eq(1..=ROWS), "{} of {ROWS}", numbers.len());
}
