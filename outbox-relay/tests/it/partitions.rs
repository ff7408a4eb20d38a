//! Partitions are there before the numbers that need them, and go when nobody needs them; neither stops a writer.

use std::time::Duration;

use lab::stack::Stack;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::topic;
use crate::wal::{feed, following, own_server, world_on};
use crate::world::{PATIENCE, Relay, World, execute, insert_for};

const SMALL: [&str; 6] =
    ["--partition-rows", "1000", "--partitions-ahead", "3", "--retention", "0s"];

/// Partitions of 1 000 numbers from 0 on, instead of those that the migration made.
async fn small_partitions(connection: &mut PgConnection, count: u32) {
    execute(
        connection,
        format!(
            "DO $$ BEGIN
                FOR number IN 0..11 LOOP
                    EXECUTE format('DROP TABLE messaging.outbox_p%s', lpad(number::text, 8, '0'));
                END LOOP;
                FOR number IN 0..{count} - 1 LOOP
                    EXECUTE format(
                        'CREATE TABLE messaging.outbox_from_%s PARTITION OF messaging.outbox FOR VALUES FROM (%s) TO (%s)',
                        number * 1000, number * 1000, number * 1000 + 1000
                    );
                END LOOP;
            END $$"
        ),
    )
    .await;
}

/// The first numbers of the partitions, with a `?` where one is being detached.
async fn partitions(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query(
        "SELECT replace(inhrelid::regclass::text, 'messaging.outbox_from_', '')
            || CASE WHEN inhdetachpending THEN '?' ELSE '' END
        FROM pg_inherits WHERE inhparent = 'messaging.outbox'::regclass
        ORDER BY substring(inhrelid::regclass::text FROM '[0-9]+$')::bigint",
    )
    .fetch_all(connection)
    .await
    .unwrap()
    .iter()
    .map(|row| row.get(0))
    .collect()
}

/// Waits until the partitions are as wanted.
async fn until(connection: &mut PgConnection, wanted: &[&str]) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while partitions(connection).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    if waited.is_err() {
        panic!("the partitions are {:?} instead of {wanted:?}", partitions(connection).await);
    }
}

/// Inserts `count` rows, a transaction of their own.
async fn insert_many(world: &World, connection: &mut PgConnection, count: u32) {
    execute(
        connection,
        format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            SELECT gen_random_uuid(), '{}', (number % 100)::text, 'T', 's', number::text, ''
            FROM generate_series(1, {count}) AS number",
            world.topic
        ),
    )
    .await;
}

async fn exists(connection: &mut PgConnection, table: &str) -> bool {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(connection)
        .await
        .unwrap()
}

async fn comment(connection: &mut PgConnection, table: &str) -> Option<String> {
    sqlx::query_scalar("SELECT obj_description($1::regclass, 'pg_class')")
        .bind(table)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// What a relay writes on a partition, `ago` before now.
async fn write_mark(connection: &mut PgConnection, table: &str, ago: &str, suffix: &str) {
    let statement: String = sqlx::query_scalar(
        "SELECT format('COMMENT ON TABLE %s IS %L', $1, 'outbox-relay: published since '
            || to_char((now() - $2::interval) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') || $3)",
    )
    .bind(table)
    .bind(ago)
    .bind(suffix)
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    execute(connection, statement).await;
}

async fn until_dropped(relay: &Relay, count: f64) {
    let enough = async || {
        relay.metric("store_outbox_partitions_dropped_total{").is_some_and(|found| found >= count)
    };
    relay.process.ready(PATIENCE, enough).await.unwrap();
}

#[tokio::test]
async fn partitions_are_created_ahead_while_a_writer_is_open() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    small_partitions(&mut connection, 1).await;
    let mut open = holder.begin().await.unwrap();
    world.insert(&mut open, "a", "open").await;
    let relay = world.leader(&SMALL).await;
    until(&mut connection, &["0", "1000", "2000", "3000"]).await;
    for number in 0..20 {
        world.insert(&mut connection, "b", &number.to_string()).await;
    }
    open.commit().await.unwrap();
    assert_eq!(world.received(21).await.len(), 21);
    assert_eq!(relay.metric("store_outbox_partitions_ahead{"), Some(3.0));
    relay.stop().await;
}

#[tokio::test]
async fn a_hole_in_the_numbers_to_come_is_filled() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 4).await;
    execute(&mut connection, "DROP TABLE messaging.outbox_from_1000").await;
    let relay = world.leader(&SMALL).await;
    until(&mut connection, &["0", "1000", "2000", "3000"]).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_failure_to_create_partitions_is_counted_and_in_time_makes_the_source_unready() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 1).await;
    // In the way of the next name.
    execute(&mut connection, "CREATE TABLE messaging.outbox_from_1000 ()").await;
    let relay = world.leader(&SMALL).await;
    let (ready, source) = relay.until("main", |source| source["ready"] == false).await;
    assert!(!ready);
    let reason = source["reason"].as_str().unwrap();
    assert!(reason.contains("partitions are ahead"), "{reason}");
    assert!(reason.contains("outbox_from_1000"), "{reason}");
    assert!(relay.metric("store_outbox_partition_failures_total{").unwrap() >= 1.0);
    world.insert(&mut connection, "a", "still published").await;
    assert_eq!(world.subjects(1).await, ["still published"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_without_the_right_to_change_the_table_says_so_long_before_writers_fail() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 3).await;
    let role = format!("relay_{}", world.topic.replace('.', "_"));
    execute(
        &mut connection,
        format!(
            "CREATE ROLE {role} LOGIN; CREATE ROLE owner_of_{role};
            GRANT USAGE ON SCHEMA messaging TO {role};
            GRANT SELECT ON ALL TABLES IN SCHEMA messaging TO {role};
            GRANT SELECT ON messaging.outbox_sequence TO {role};
            GRANT UPDATE ON messaging.outbox_epoch, messaging.outbox_leader, messaging.outbox_command TO {role};
            GRANT EXECUTE ON FUNCTION pg_control_system TO {role};
            GRANT USAGE, CREATE ON SCHEMA messaging TO owner_of_{role};
            ALTER TABLE messaging.outbox OWNER TO owner_of_{role}"
        ),
    )
    .await;
    let url = world.url.replace("postgres@", &format!("{role}@"));
    let arguments = ["--partition-rows", "1000", "--partitions-ahead", "2", "--retention", "0s"];
    let relay = world.relay_of(&format!("main={url}"), &arguments);
    let (ready, source) = relay
        .until("main", |source| source["partitions"].is_string() && source["state"] == "leader")
        .await;
    assert!(ready, "there are partitions enough as yet: {source}");
    let told = source["partitions"].as_str().unwrap().to_owned();
    assert!(told.contains(&format!("GRANT owner_of_{role} TO {role}")), "{told}");
    assert!(relay.metric("store_outbox_partition_failures_total{").unwrap() >= 1.0);
    execute(&mut connection, "SELECT setval('messaging.outbox_sequence', 2998)").await;
    relay.until("main", |source| source["ready"] == false).await;
    // The end of that road: the last number has a partition, the next one has none.
    insert_many(&world, &mut connection, 1).await;
    let refused = sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES (gen_random_uuid(), 't', 'k', 'T', 's', '', '')",
    )
    .execute(&mut connection)
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("no partition of relation"), "{refused}");
    execute(&mut connection, format!("GRANT owner_of_{role} TO {role}")).await;
    relay.until("main", |source| source["ready"] == true).await;
    insert_many(&world, &mut connection, 1).await;
    assert_eq!(world.received(2).await.len(), 2);
    let owned: bool = sqlx::query_scalar(
        "SELECT pg_get_userbyid(relowner) = 'owner_of_' || $1 FROM pg_class
        WHERE oid = 'messaging.outbox_from_3000'::regclass",
    )
    .bind(&role)
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert!(owned, "new partitions belong to whom the table belongs");
    relay.stop().await;
    execute(
        &mut connection,
        format!("REASSIGN OWNED BY owner_of_{role} TO postgres; DROP OWNED BY {role}, owner_of_{role}; DROP ROLE {role}, owner_of_{role}"),
    )
    .await;
}

#[tokio::test]
async fn published_partitions_are_dropped_while_a_writer_is_open_and_nobody_waits() {
    let world = World::new().await;
    let (mut holder, mut writer, mut watcher) =
        (world.connect().await, world.connect().await, world.connect().await);
    small_partitions(&mut writer, 4).await;
    insert_many(&world, &mut writer, 2_500).await;
    execute(&mut holder, "BEGIN").await;
    world.insert(&mut holder, "held", "held").await;
    let relay = world.leader(&SMALL).await;
    // A lock that it waits for makes this writer fail.
    execute(&mut writer, "SET lock_timeout = '250ms'").await;
    let mut sent = 2_500;
    let wanted = ["2000", "3000", "4000", "5000", "6000"];
    let began = std::time::Instant::now();
    while sent < 3_200 || partitions(&mut watcher).await != wanted {
        assert!(began.elapsed() < PATIENCE, "{:?}", partitions(&mut watcher).await);
        world.insert(&mut writer, "b", "free").await;
        sent += 1;
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'messaging.outbox'::regclass",
        )
        .fetch_one(&mut watcher)
        .await
        .unwrap();
        assert_eq!(waiting, 0, "somebody queues for the table");
        if sent > 3_200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(!exists(&mut watcher, "messaging.outbox_from_0").await);
    // What the open one holds is kept, and dropped once it is published.
    execute(&mut holder, "COMMIT").await;
    until_dropped(&relay, 3.0).await;
    assert!(!exists(&mut watcher, "messaging.outbox_from_2000").await);
    assert_eq!(world.received(sent + 1).await.len(), sent + 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_partition_with_an_open_gap_stays_until_that_is_published() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    small_partitions(&mut connection, 2).await;
    insert_many(&world, &mut connection, 10).await;
    execute(&mut holder, "BEGIN").await;
    world.insert(&mut holder, "held", "held").await;
    let relay = world.leader(&SMALL).await;
    insert_many(&world, &mut connection, 1_500).await;
    // A round after the head has reached the second partition, in which the first could have gone.
    until(&mut connection, &["0", "1000", "2000", "3000", "4000"]).await;
    insert_many(&world, &mut connection, 1_000).await;
    until(&mut connection, &["0", "1000", "2000", "3000", "4000", "5000"]).await;
    assert_eq!(comment(&mut connection, "messaging.outbox_from_0").await, None);
    assert_eq!(comment(&mut connection, "messaging.outbox_from_1000").await, None);
    execute(&mut holder, "COMMIT").await;
    until(&mut connection, &["2000", "3000", "4000", "5000"]).await;
    assert_eq!(world.received(2_511).await.len(), 2_511);
    relay.stop().await;
}

#[tokio::test]
async fn a_partition_in_which_a_key_waits_stays_until_that_flows_again() {
    for delivery in ["at-least-once", "exactly-once"] {
        let world = World::new().await;
        let mut connection = world.connect().await;
        small_partitions(&mut connection, 4).await;
        let missing = format!("missing.{}", world.topic);
        insert_many(&world, &mut connection, 1_500).await;
        insert_for(&mut connection, &missing, "a", "waits").await;
        insert_many(&world, &mut connection, 2_000).await;
        let relay = world.leader(&[&SMALL[..], &["--delivery", delivery]].concat()).await;
        relay.until("main", |source| source["parked_keys"] == 1).await;
        until(&mut connection, &["1000", "2000", "3000", "4000", "5000", "6000"]).await;
        insert_many(&world, &mut connection, 1_000).await;
        until(&mut connection, &["1000", "2000", "3000", "4000", "5000", "6000", "7000"]).await;
        assert_eq!(comment(&mut connection, "messaging.outbox_from_2000").await, None);
        topic::create(&world.brokers, &missing, 1).await;
        until(&mut connection, &["4000", "5000", "6000", "7000"]).await;
        assert_eq!(topic::receive(&world.brokers, &missing, 1).await.len(), 1, "{delivery}");
        relay.stop().await;
    }
}

#[tokio::test]
async fn what_kafka_has_not_acknowledged_is_not_dropped() {
    let stack = Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let world = World::with_brokers(stack, kafka.brokers().to_owned()).await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 1).await;
    let relay = world.leader(&SMALL).await;
    until(&mut connection, &["0", "1000", "2000", "3000"]).await;
    kafka.pause().await.unwrap();
    insert_many(&world, &mut connection, 2_500).await;
    relay.until("main", |source| source["ready"] == false && source["head"] == 2_500).await;
    assert_eq!(comment(&mut connection, "messaging.outbox_from_0").await, None);
    relay.process.kill().await;
    // Another that cannot even know what is published sees to the partitions ahead, and to no others.
    let relay = world.relay(&SMALL);
    until(&mut connection, &["0", "1000", "2000", "3000", "4000", "5000"]).await;
    kafka.resume().await.unwrap();
    until(&mut connection, &["2000", "3000", "4000", "5000"]).await;
    assert!(world.received(2_500).await.len() >= 2_500);
    relay.stop().await;
}

#[tokio::test]
async fn partitions_younger_than_the_retention_stay_and_a_clock_set_back_makes_none_older() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 4).await;
    insert_many(&world, &mut connection, 3_500).await;
    let arguments = ["--partition-rows", "1000", "--partitions-ahead", "3"];
    let relay = world.leader(&arguments).await;
    until(&mut connection, &["0", "1000", "2000", "3000", "4000", "5000", "6000"]).await;
    let marked = async || {
        let mut connection = world.connect().await;
        comment(&mut connection, "messaging.outbox_from_2000").await.is_some()
    };
    relay.process.ready(PATIENCE, marked).await.unwrap();
    relay.stop().await;
    // The lowest by a clock that was a year ahead, the others old enough and not.
    write_mark(&mut connection, "messaging.outbox_from_0", "-1 year", "").await;
    write_mark(&mut connection, "messaging.outbox_from_1000", "8 days", "").await;
    let future = comment(&mut connection, "messaging.outbox_from_0").await;
    let relay = world.leader(&arguments).await;
    let marked_anew = async || {
        let mut connection = world.connect().await;
        comment(&mut connection, "messaging.outbox_from_0").await != future
    };
    relay.process.ready(PATIENCE, marked_anew).await.unwrap();
    relay.stop().await;
    write_mark(&mut connection, "messaging.outbox_from_0", "8 days", "").await;
    let relay = world.leader(&arguments).await;
    until(&mut connection, &["2000", "3000", "4000", "5000", "6000"]).await;
    relay.stop().await;
}

#[tokio::test]
async fn with_the_retention_off_nothing_is_dropped() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 2).await;
    insert_many(&world, &mut connection, 1_500).await;
    let relay = world
        .leader(&["--partition-rows", "1000", "--partitions-ahead", "3", "--retention", "off"])
        .await;
    until(&mut connection, &["0", "1000", "2000", "3000", "4000"]).await;
    insert_many(&world, &mut connection, 1_000).await;
    until(&mut connection, &["0", "1000", "2000", "3000", "4000", "5000"]).await;
    assert_eq!(comment(&mut connection, "messaging.outbox_from_0").await, None);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_killed_while_it_detaches_is_followed_by_one_that_finishes() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    small_partitions(&mut connection, 3).await;
    insert_many(&world, &mut connection, 1_500).await;
    execute(&mut holder, "BEGIN").await;
    world.insert(&mut holder, "held", "held").await;
    let relay = world.leader(&SMALL).await;
    until(&mut connection, &["0?", "1000", "2000", "3000", "4000"]).await;
    relay.process.kill().await;
    assert!(exists(&mut connection, "messaging.outbox_from_0").await);
    let relay = world.leader(&SMALL).await;
    until_dropped(&relay, 1.0).await;
    assert!(!exists(&mut connection, "messaging.outbox_from_0").await);
    until(&mut connection, &["1000", "2000", "3000", "4000"]).await;
    execute(&mut holder, "COMMIT").await;
    relay.stop().await;
}

#[tokio::test]
async fn what_was_detached_to_be_dropped_is_dropped_and_what_an_operator_detached_is_kept() {
    let world = World::new().await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    small_partitions(&mut connection, 6).await;
    insert_many(&world, &mut connection, 3_500).await;
    let relay = world.leader(&["--retention", "off", "--partitions-ahead", "0"]).await;
    relay.until("main", |source| source["watermark"] == 3_500).await;
    relay.stop().await;
    for (table, suffix) in [("0", ", to be dropped"), ("1000", "")] {
        let table = format!("messaging.outbox_from_{table}");
        write_mark(&mut connection, &table, "8 days", suffix).await;
        execute(&mut connection, format!("ALTER TABLE messaging.outbox DETACH PARTITION {table}"))
            .await;
    }
    // An operator's, cut short.
    execute(&mut holder, "BEGIN; SELECT FROM messaging.outbox LIMIT 1").await;
    execute(&mut connection, "SET lock_timeout = '50ms'").await;
    let cut_short =
        "ALTER TABLE messaging.outbox DETACH PARTITION messaging.outbox_from_2000 CONCURRENTLY";
    sqlx::raw_sql(AssertSqlSafe(cut_short)).execute(&mut connection).await.unwrap_err();
    execute(&mut holder, "COMMIT").await;
    assert_eq!(partitions(&mut connection).await, ["2000?", "3000", "4000", "5000"]);
    let arguments = ["--partition-rows", "1000", "--partitions-ahead", "2", "--retention", "1h"];
    let relay = world.leader(&arguments).await;
    until(&mut connection, &["3000", "4000", "5000"]).await;
    until_dropped(&relay, 1.0).await;
    assert!(!exists(&mut connection, "messaging.outbox_from_0").await);
    for kept in ["messaging.outbox_from_1000", "messaging.outbox_from_2000"] {
        assert!(exists(&mut connection, kept).await, "{kept} is an operator's");
    }
    relay.stop().await;
}

#[tokio::test]
async fn the_table_does_not_grow_without_end() {
    const ROWS: usize = 12_000;
    const MOST: usize = 8;
    let world = World::new().await;
    let mut connection = world.connect().await;
    small_partitions(&mut connection, 2).await;
    let relay = world.leader(&SMALL).await;
    let mut inserted = 0;
    let began = std::time::Instant::now();
    while inserted < ROWS {
        assert!(began.elapsed() < 3 * PATIENCE, "stuck at {inserted}");
        let partitions = partitions(&mut connection).await;
        let last: usize = partitions.last().unwrap().trim_end_matches('?').parse().unwrap();
        // As fast as partitions come and go.
        if inserted + 500 < last && partitions.len() < MOST {
            insert_many(&world, &mut connection, 500).await;
            inserted += 500;
        }
    }
    until(&mut connection, &["12000", "13000", "14000", "15000"]).await;
    assert_eq!(world.received(ROWS).await.len(), ROWS);
    relay.stop().await;
}

#[tokio::test]
async fn partitions_come_and_go_under_the_wal_feed_as_well() {
    let server = own_server(&[]).await;
    let world = world_on(&server).await;
    let (mut holder, mut connection) = (world.connect().await, world.connect().await);
    small_partitions(&mut connection, 3).await;
    let relay = following(&world, &SMALL).await;
    insert_many(&world, &mut connection, 900).await;
    execute(&mut connection, "BEGIN").await;
    insert_many(&world, &mut connection, 300).await;
    execute(&mut connection, "ROLLBACK").await;
    insert_many(&world, &mut connection, 1_000).await;
    relay.until("main", |source| source["watermark"] == 2_200).await;
    execute(&mut holder, "BEGIN").await;
    world.insert(&mut holder, "held", "held").await;
    insert_many(&world, &mut connection, 1_500).await;
    until(&mut connection, &["2000", "3000", "4000", "5000", "6000"]).await;
    execute(&mut holder, "COMMIT").await;
    until(&mut connection, &["3000", "4000", "5000", "6000"]).await;
    assert_eq!(feed(&relay.readyz().unwrap().1["sources"]["main"]), "wal");
    assert_eq!(world.received(3_401).await.len(), 3_401);
    relay.stop().await;
}

#[tokio::test]
async fn upkeep_of_the_table_keeps_no_gap_open() {
    let world = World::new().await;
    let (mut upkeep, mut connection) = (world.connect().await, world.connect().await);
    let relay = world.leader(&[]).await;
    // As VACUUM, ANALYZE and the detaching of a partition hold it, perhaps for hours.
    execute(&mut upkeep, "BEGIN; LOCK TABLE messaging.outbox IN SHARE UPDATE EXCLUSIVE MODE").await;
    execute(&mut connection, "BEGIN").await;
    world.insert(&mut connection, "a", "undone").await;
    execute(&mut connection, "ROLLBACK").await;
    world.insert(&mut connection, "a", "done").await;
    relay.until("main", |source| source["watermark"] == 2).await;
    execute(&mut upkeep, "COMMIT").await;
    relay.stop().await;
}
