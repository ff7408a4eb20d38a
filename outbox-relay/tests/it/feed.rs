//! What is committed is published: late commits, roll-backs, prepared transactions, order, and nothing written.

use std::collections::HashMap;

use sqlx::Connection;
use uuid::Uuid;

use crate::world::{World, execute};

#[tokio::test]
async fn a_record_carries_the_row_as_a_cloud_event() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let (id, cause) = (Uuid::now_v7(), Uuid::now_v7());
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    sqlx::query(
        "INSERT INTO messaging.outbox
            (id, aggregatetype, aggregateid, type, source, subject, created_at, correlationid, causationid,
             traceparent, tracestate, payload)
        VALUES ($1, $2, 'order-1', 'store.OrderCreated', '/store-manager', 'orders/1',
            '2026-11-21T10:00:00.123456Z', 'saga-1', $3, $4, 'a=b', '\\x00ff10')",
    )
    .bind(id)
    .bind(&world.topic)
    .bind(cause.to_string())
    .bind(traceparent)
    .execute(&mut connection)
    .await
    .unwrap();
    let relay = world.leader(&[]).await;
    let record = world.received(1).await.remove(0);
    relay.stop().await;

    assert_eq!(record.key, "order-1");
    assert_eq!(record.payload, [0x00, 0xff, 0x10]);
    assert_eq!(record.timestamp_ms, 1_795_255_200_123);
    let expected = [
        ("content-type", "application/protobuf"),
        ("ce_specversion", "1.0"),
        ("ce_id", &id.to_string()),
        ("ce_source", "/store-manager"),
        ("ce_type", "store.OrderCreated"),
        ("ce_subject", "orders/1"),
        ("ce_time", "2026-11-21T10:00:00.123456Z"),
        ("ce_correlationid", "saga-1"),
        ("ce_causationid", &cause.to_string()),
        ("traceparent", traceparent),
        ("tracestate", "a=b"),
    ];
    let expected: HashMap<_, _> = expected.into_iter().collect();
    let found: HashMap<_, _> =
        record.headers.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn where_traces_are_exported_the_send_span_joins_the_rows_trace() {
    let world = World::new().await;
    let mut connection = world.connect().await;
    let written = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, traceparent, payload)
        VALUES (gen_random_uuid(), $1, 'a', 'T', 's', 'x', $2, '')",
    )
    .bind(&world.topic)
    .bind(written)
    .execute(&mut connection)
    .await
    .unwrap();
    let nobody = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let relay = world.relay_with(&format!("main={}", world.url), &[], &[nobody]);
    let record = world.received(1).await.remove(0);
    let carried = record.header("traceparent");
    assert_eq!(carried[..36], written[..36], "the same trace");
    assert_ne!(carried[36..52], written[36..52], "another span");
    relay.stop().await;
}

#[tokio::test]
async fn a_row_that_commits_late_is_published_and_a_rolled_back_one_is_not_waited_for() {
    let world = World::new().await;
    let relay = world.leader(&[]).await;
    let (mut late, mut rolled_back, mut other) =
        (world.connect().await, world.connect().await, world.connect().await);
    let mut open = late.begin().await.unwrap();
    world.insert(&mut open, "a", "late").await;
    let mut aborted = rolled_back.begin().await.unwrap();
    world.insert(&mut aborted, "b", "rolled back").await;
    world.insert(&mut other, "c", "at once").await;

    assert_eq!(world.subjects(1).await, ["at once"], "an open transaction delays nobody else");
    relay.until("main", |source| source["open_gaps"] == 1).await;
    aborted.rollback().await.unwrap();
    relay.until("main", |source| source["watermark"] == 0 && source["head"] == 3).await;
    open.commit().await.unwrap();
    relay.until("main", |source| source["watermark"] == 3 && source["open_gaps"] == 0).await;
    assert_eq!(world.subjects(2).await.len(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_savepoint_rolled_back_leaves_nothing_behind() {
    let world = World::new().await;
    let relay = world.leader(&[]).await;
    let mut connection = world.connect().await;
    let mut open = connection.begin().await.unwrap();
    world.insert(&mut open, "a", "before").await;
    let mut savepoint = open.begin().await.unwrap();
    world.insert(&mut savepoint, "a", "undone").await;
    savepoint.rollback().await.unwrap();
    world.insert(&mut open, "a", "after").await;
    open.commit().await.unwrap();
    assert_eq!(world.subjects(2).await, ["before", "after"]);
    relay.until("main", |source| source["watermark"] == 3).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_prepared_transaction_is_waited_for_across_a_restart_and_published_when_it_commits() {
    let world = World::new().await;
    let relay = world.leader(&[]).await;
    let mut connection = world.connect().await;
    let gid = format!("test-{}", Uuid::now_v7());
    execute(&mut connection, "BEGIN; SET LOCAL messaging.two_phase = on").await;
    world.insert(&mut connection, "a", "prepared").await;
    execute(&mut connection, format!("PREPARE TRANSACTION '{gid}'")).await;
    world.insert(&mut connection, "b", "at once").await;
    assert_eq!(world.subjects(1).await, ["at once"]);
    let (ready, source) =
        relay.until("main", |source| source["oldest_gap_held_by"][0].is_string()).await;
    assert!(ready, "an open gap is no stall: {source}");
    assert_eq!(source["oldest_gap_held_by"][0], format!("prepared transaction '{gid}'"));
    relay.stop().await;

    let relay = world.leader(&[]).await;
    relay.until("main", |source| source["oldest_gap_held_by"][0].is_string()).await;
    execute(&mut connection, format!("COMMIT PREPARED '{gid}'")).await;
    assert_eq!(world.subjects(2).await.len(), 2);
    relay.until("main", |source| source["watermark"] == 2).await;
    relay.stop().await;
}

#[tokio::test]
async fn records_of_one_key_stand_in_the_order_of_their_commits() {
    const WRITERS: usize = 6;
    const ROUNDS: usize = 60;
    let world = World::new().await;
    let mut connection = world.connect().await;
    execute(&mut connection, "CREATE TABLE aggregate (key text PRIMARY KEY, version int NOT NULL)")
        .await;
    execute(&mut connection, "INSERT INTO aggregate VALUES ('a', 0), ('b', 0), ('c', 0)").await;
    let relay = world.leader(&["--page-rows", "7"]).await;
    let writers = (0..WRITERS).map(|writer| write_in_turns(&world, writer, ROUNDS));
    let committed: usize = futures::future::join_all(writers).await.into_iter().sum();

    let received = world.received(committed).await;
    relay.stop().await;
    assert_eq!(received.len(), committed, "nothing twice");
    let mut versions: HashMap<String, Vec<u32>> = HashMap::new();
    for record in received {
        versions
            .entry(record.key.clone())
            .or_default()
            .push(record.header("ce_subject").parse().unwrap());
    }
    for (key, versions) in versions {
        assert!(versions.is_sorted(), "{key}: {versions:?}");
    }
}

/// Locks an aggregate, bumps its version, tells it, dawdles, and commits two times out of three. Answers how often.
async fn write_in_turns(world: &World, writer: usize, rounds: usize) -> usize {
    let mut connection = world.connect().await;
    let mut committed = 0;
    for round in 0..rounds {
        let key = ["a", "b", "c"][(writer + round) % 3];
        let mut transaction = connection.begin().await.unwrap();
        let version: i32 = sqlx::query_scalar(
            "UPDATE aggregate SET version = version + 1 WHERE key = $1 RETURNING version",
        )
        .bind(key)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        world.insert(&mut transaction, key, &version.to_string()).await;
        tokio::time::sleep(std::time::Duration::from_micros((round * 37 % 11) as u64 * 300)).await;
        if (writer + round).is_multiple_of(3) {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
            committed += 1;
        }
    }
    committed
}

#[tokio::test]
async fn no_row_of_the_outbox_is_ever_updated_or_deleted() {
    let world = World::new().await;
    let relay = world.leader(&[]).await;
    let mut connection = world.connect().await;
    for number in 0..50 {
        world.insert(&mut connection, "a", &number.to_string()).await;
    }
    assert_eq!(world.subjects(50).await.len(), 50);
    relay.stop().await;
    execute(&mut connection, "SELECT pg_stat_force_next_flush()").await;
    let written: (i64, i64, i64) = sqlx::query_as(
        "SELECT sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_del)::bigint
        FROM pg_stat_all_tables WHERE schemaname = 'messaging' AND relname LIKE 'outbox_p%'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!((written.1, written.2), (0, 0));
    assert_eq!(written.0, 50);
}
