//! The same request id gets the same answer.

use messaging::requests::{self, Claim, RequestError};
use proto::store::orders::events::v1::OrderCancelled;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::world::{connect, database};

const RPC: &str = "test.Service/Work";

/// Any message will do as a request or an answer.
fn message(text: &str) -> OrderCancelled {
    OrderCancelled { order_id: text.to_owned(), ..OrderCancelled::default() }
}

/// Works under a request id, answering something new each time it really works.
async fn work(pool: &PgPool, id: Uuid, request: &str) -> Result<(String, bool), RequestError> {
    let mut transaction = pool.begin().await?;
    let claimed = requests::claim(&mut transaction, RPC, Some(id), &message(request)).await?;
    let ticket = match claimed {
        Claim::Answered(OrderCancelled { order_id, .. }) => return Ok((order_id, false)),
        Claim::New(ticket) => ticket,
    };
    let answer = Uuid::now_v7();
    sqlx::query("INSERT INTO effects (event_id) VALUES ($1)")
        .bind(answer)
        .execute(&mut *transaction)
        .await?;
    requests::answer(&mut transaction, ticket, &message(&answer.to_string())).await?;
    transaction.commit().await?;
    Ok((answer.to_string(), true))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_are_one_that_works_and_forty_nine_that_are_told() {
    let url = database().await;
    let pool = PgPoolOptions::new().max_connections(25).connect(&url).await.unwrap();
    let id = Uuid::now_v7();
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let pool = pool.clone();
        calls.spawn(async move { work(&pool, id, "the same").await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|(_, worked)| *worked).count(), 1);
    assert!(answers.iter().all(|(answer, _)| *answer == answers[0].0));
    let effects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(&pool).await.unwrap();
    assert_eq!(effects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_the_same_id_is_refused() {
    let pool = connect(&database().await).await;
    let id = Uuid::now_v7();
    work(&pool, id, "one").await.unwrap();
    assert!(matches!(work(&pool, id, "two").await, Err(RequestError::Reused)));
    assert!(work(&pool, Uuid::now_v7(), "two").await.unwrap().1, "its own id is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_successes_are_kept() {
    let pool = connect(&database().await).await;
    let id = Uuid::now_v7();
    for committed in [false, true] {
        let mut transaction = pool.begin().await.unwrap();
        let claimed: Claim<OrderCancelled> =
            requests::claim(&mut transaction, RPC, Some(id), &message("failing")).await.unwrap();
        assert!(matches!(claimed, Claim::New(_)));
        if committed {
            transaction.commit().await.unwrap();
        }
    }
    let (answer, worked) = work(&pool, id, "corrected").await.unwrap();
    assert!(worked);
    assert_eq!(work(&pool, id, "corrected").await.unwrap(), (answer, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_id_is_always_new() {
    let pool = connect(&database().await).await;
    let mut connection = pool.acquire().await.unwrap();
    for _ in 0..2 {
        let claim: Claim<OrderCancelled> =
            requests::claim(&mut connection, RPC, None, &message("any")).await.unwrap();
        let Claim::New(ticket) = claim else {
            panic!("answered {:?}", claim);
        };
        requests::answer(&mut connection, ticket, &message("answer")).await.unwrap();
    }
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM messaging.requests")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}
