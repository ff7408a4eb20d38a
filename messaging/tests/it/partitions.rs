//! Partitions stand ahead of time, old ones go, and writers do not wait for it.

use std::time::Duration;

use messaging::{inbox, partitions};
use sqlx::{PgPool, types::time::OffsetDateTime};
use uuid::{NoContext, Timestamp, Uuid};

use crate::world::{connect, database};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn id_at(time: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(time.unix_timestamp()).unwrap();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0))
}

async fn names(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON oid = inhrelid
         WHERE inhparent IN ('messaging.inbox'::regclass, 'messaging.requests'::regclass)
           AND relkind = 'r' ORDER BY relname",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn ensure_at(pool: &PgPool, time: OffsetDateTime) {
    let mut connection = pool.acquire().await.unwrap();
    partitions::ensure_at(&mut connection, time).await.unwrap();
}

async fn remember(pool: &PgPool, id: Uuid) -> bool {
    let mut connection = pool.acquire().await.unwrap();
    inbox::remember(&mut connection, id).await.unwrap()
}

async fn in_default(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM messaging.inbox_default")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_stand_ahead_and_old_ones_are_dropped() {
    let pool = connect(&database().await).await;
    let now = OffsetDateTime::now_utc();
    let before = names(&pool).await;
    assert!(before.len() >= 4 + 8 + 2, "{before:?}");
    assert!(remember(&pool, id_at(now)).await);
    assert!(remember(&pool, id_at(now - DAY * 7)).await);
    assert!(remember(&pool, id_at(now + DAY * 14)).await);
    assert_eq!(in_default(&pool).await, 0, "ids of these weeks have their partitions");

    ensure_at(&pool, now).await;
    assert_eq!(names(&pool).await, before, "a second time changes nothing");

    ensure_at(&pool, now + DAY * 40).await;
    let after = names(&pool).await;
    let old = before.iter().filter(|name| name.starts_with("requests_2"));
    assert_eq!(old.filter(|name| after.contains(name)).count(), 0, "{after:?}");
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM messaging.inbox").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 1, "only the id of two weeks ahead is younger than 30 days by then");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_no_known_week_is_remembered_before_and_after_its_partition_comes() {
    let pool = connect(&database().await).await;
    let now = OffsetDateTime::now_utc();
    let (future, random) =
        (id_at(now + DAY * 90), Uuid::from_u128(0xf47a_c10b_58cc_4372_a567_0e02_b2c3_d479));
    assert!(remember(&pool, future).await);
    assert!(remember(&pool, random).await);
    assert_eq!(in_default(&pool).await, 2);
    ensure_at(&pool, now + DAY * 80).await;
    assert!(!remember(&pool, future).await, "forgotten when its partition came");
    assert_eq!(in_default(&pool).await, 0, "what was handled 30 days ago is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_stays_open_delays_neither_new_partitions_nor_other_writers() {
    let pool = connect(&database().await).await;
    let now = OffsetDateTime::now_utc();
    let before = names(&pool).await.len();
    let mut open = pool.begin().await.unwrap();
    assert!(inbox::remember(&mut open, Uuid::now_v7()).await.unwrap());
    let housekeeping =
        tokio::time::timeout(Duration::from_secs(5), ensure_at(&pool, now + DAY * 7));
    let writers = async {
        for _ in 0..20 {
            let write = remember(&pool, Uuid::now_v7());
            assert!(tokio::time::timeout(Duration::from_secs(1), write).await.unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (done, ()) = tokio::join!(housekeeping, writers);
    done.expect("housekeeping waits for the open writer");
    assert!(names(&pool).await.len() > before);
    open.commit().await.unwrap();
}
