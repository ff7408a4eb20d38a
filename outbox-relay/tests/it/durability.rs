//! A record never precedes its row's durability: what a crash of the database undoes was not published.

use lab::stack::Stack;
use sqlx::{Connection, PgConnection};

use crate::topic::Tail;
use crate::world::{World, execute, insert_for};

#[tokio::test]
async fn an_asynchronously_committed_row_that_was_published_survives_a_crash_of_the_database() {
    let stack = Stack::shared().await.unwrap();
    let postgres = stack.fresh_postgres().await.unwrap();
    let mut world = World::new().await;
    world.url = postgres.url("postgres");
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    execute(&mut connection, outbox_relay::outbox_sql()).await;
    // Nothing is written to disk unless somebody asks for it.
    execute(&mut connection, "ALTER SYSTEM SET wal_writer_delay = '10s'").await;
    execute(&mut connection, "SELECT pg_reload_conf()").await;
    let relay = world.leader(&[]).await;
    execute(&mut connection, "SET synchronous_commit = off").await;
    let mut tail = Tail::open(&world.brokers, &world.topic, 3);
    for number in 1..=5_usize {
        insert_for(&mut connection, &world.topic, "a", &number.to_string()).await;
        tail = tail.next().await;
    }
    postgres.kill().await.unwrap();
    postgres.start().await.unwrap();
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM messaging.outbox")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 5, "what was published is still there");
    insert_for(&mut connection, &world.topic, "a", "6").await;
    assert_eq!(world.subjects(6).await.last().unwrap(), "6");
    relay.stop().await;
}
