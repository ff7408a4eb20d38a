//! The handshake: no row waits for the fallback poll.

use std::time::{Duration, Instant};

use sqlx::Connection;

use crate::world::{PATIENCE, World};

/// So long that a test which had to wait for it would fail.
const NEVER: [&str; 2] = ["--fallback-poll-ms", "3600000"];

#[tokio::test]
async fn no_wake_up_is_lost_however_inserts_and_sleep_meet() {
    const WRITERS: u64 = 4;
    const ROWS: u64 = 250;
    let world = World::new().await;
    let relay = world.leader(&NEVER).await;
    let writers = (0..WRITERS).map(async |writer| {
        let mut connection = world.connect().await;
        for row in 0..ROWS {
            world.insert(&mut connection, &writer.to_string(), &format!("{row}")).await;
            // From none to about what the relay needs to fall asleep.
            let pause = (row * 7919 + writer * 104_729) % 3000;
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    });
    futures::future::join_all(writers).await;
    let count = usize::try_from(WRITERS * ROWS).unwrap();
    assert_eq!(world.received(count).await.len(), count);
    relay.stop().await;
}

#[tokio::test]
async fn a_row_that_commits_just_as_the_relay_falls_asleep_is_not_left_lying() {
    let world = World::new().await;
    let relay = world.leader(&NEVER).await;
    let mut connection = world.connect().await;
    for round in 1..=150_u64 {
        world.insert(&mut connection, "a", "wakes it").await;
        // Sweeps over the moment between its last look and its sleep.
        tokio::time::sleep(Duration::from_micros(round * 40 % 4000)).await;
        world.insert(&mut connection, "b", "meets it").await;
        let began = Instant::now();
        while relay
            .readyz()
            .is_none_or(|(_, body)| body["sources"]["main"]["watermark"] != 2 * round)
        {
            assert!(began.elapsed() < PATIENCE / 4, "round {round}: a row is left lying");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_writer_that_was_open_while_the_relay_fell_asleep_wakes_it() {
    let world = World::new().await;
    let relay = world.leader(&NEVER).await;
    let (mut slow, mut quick) = (world.connect().await, world.connect().await);
    for round in 0..5 {
        let mut open = slow.begin().await.unwrap();
        world.insert(&mut open, "slow", &round.to_string()).await;
        world.insert(&mut quick, "quick", &round.to_string()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        open.commit().await.unwrap();
        let head = 2 * (round + 1);
        relay.until("main", |source| source["watermark"] == head).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_row_reaches_kafka_soon_after_its_commit() {
    let world = World::new().await;
    let relay = world.leader(&NEVER).await;
    let mut connection = world.connect().await;
    world.insert(&mut connection, "a", "warm up").await;
    world.received(1).await;
    for number in 0..50 {
        world.insert(&mut connection, "a", &number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.received(51).await;
    let sum = relay.metric("store_outbox_acknowledged_delay_seconds_sum").unwrap();
    println!("mean delay of 51 rows: {:.1} ms", sum / 51.0 * 1000.0);
    assert!(sum < 51.0, "each row by itself waits for seconds: {sum} s for 51 rows");
    relay.stop().await;
}

#[tokio::test]
async fn an_idle_relay_sleeps() {
    let world = World::new().await;
    let relay = world.leader(&NEVER).await;
    // Counts reach the statistics a second late.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = statements(&world).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = statements(&world).await;
    assert!(after - before < 20, "{} transactions in four seconds of sleep", after - before);
    relay.stop().await;
}

/// Transactions of the test's database so far, those of this question included.
async fn statements(world: &World) -> i64 {
    let mut connection = world.connect().await;
    sqlx::query_scalar(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap()
}
