//! PostgreSQL goes and comes back, and what was open in it with it.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::world::{World, execute};

#[tokio::test]
async fn after_a_crash_of_the_database_the_relay_goes_on_and_a_prepared_transaction_is_still_waited_for()
 {
    let mut world = World::new().await;
    let postgres = world.stack.fresh_postgres().await.unwrap();
    world.url = postgres.create_database("restarted").await.unwrap();
    let mut connection = world.connect().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(outbox_relay::outbox_sql()))
        .execute(&mut connection)
        .await
        .unwrap();
    let relay = world.leader(&[]).await;
    let gid = format!("test-{}", Uuid::now_v7());
    execute(&mut connection, "BEGIN; SET LOCAL messaging.two_phase = on").await;
    world.insert(&mut connection, "a", "prepared").await;
    execute(&mut connection, format!("PREPARE TRANSACTION '{gid}'")).await;
    world.insert(&mut connection, "b", "before").await;
    assert_eq!(world.subjects(1).await, ["before"]);
    let mut lost = world.connect().await;
    execute(&mut lost, "BEGIN").await;
    world.insert(&mut lost, "c", "lost in the crash").await;

    postgres.kill().await.unwrap();
    relay.until("main", |source| source["ready"] == false).await;
    postgres.start().await.unwrap();
    relay.until("main", |source| source["state"] == "leader").await;
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    world.insert(&mut connection, "b", "after").await;
    relay.until("main", |source| source["oldest_gap_held_by"][0].is_string()).await;
    execute(&mut connection, format!("COMMIT PREPARED '{gid}'")).await;
    relay
        .until("main", |source| source["open_gaps"] == 0 && source["watermark"] == source["head"])
        .await;
    let subjects = world.subjects(3).await;
    for subject in ["prepared", "before", "after"] {
        assert!(subjects.iter().any(|found| found == subject), "{subject}: {subjects:?}");
    }
    assert!(!subjects.iter().any(|found| found == "lost in the crash"));
    relay.stop().await;
}
