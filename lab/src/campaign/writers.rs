//! The writers of a round: concurrent transactions of plain SQL over one outbox, each of which locks its keys first.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    course::{Course, PATIENCE},
    place::Place,
    script::{Aggregate, End, Script, Step, Transaction},
};

/// How many transactions each writer does at least.
const TRANSACTIONS: usize = 30;

/// How many once the fault is over.
const TRANSACTIONS_AFTER: usize = 12;

/// The longest that a writer waits after a transaction while the fault is not over.
const LONGEST_PAUSE: Duration = Duration::from_millis(60);

/// What tells the round's own connections from the relay's.
pub(super) const APPLICATION: &str = "campaign";

/// How often a server that is down is asked again.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Moves the version of a key and appends its event. The key's row is locked already.
const APPEND: &str = "WITH moved AS (
        UPDATE campaign.keys SET version = version + 1
        WHERE topic = $1 AND key = $2
        RETURNING version
    )
    INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
    SELECT $3, $1, $2, 'campaign.Happened', '/campaign', version::text, $4 FROM moved";

/// Writes what the script says, until some while after the fault.
pub(super) async fn write(place: &Place, course: &Course, script: Script) -> sqlx::Result<()> {
    let mut connection = connect(place).await?;
    let mut after = 0;
    for (number, transaction) in script.enumerate() {
        if number >= TRANSACTIONS && after >= TRANSACTIONS_AFTER {
            break;
        }
        match run(&mut connection, place, &transaction).await {
            Ok(()) => course.transaction_ended(),
            Err(_) if place.own.is_some() => connection = connect(place).await?,
            Err(error) => return Err(error),
        }
        after += usize::from(course.is_over());
        // The longer the fault takes, the slower, so that rounds stay small.
        let waiting = Duration::from_millis(number.saturating_sub(TRANSACTIONS) as u64);
        sleep(transaction.pause + waiting.min(LONGEST_PAUSE)).await;
    }
    Ok(())
}

/// Connects; waits for a server that is about to come back.
pub(super) async fn connect(place: &Place) -> sqlx::Result<PgConnection> {
    let began = Instant::now();
    loop {
        match connect_once(place).await {
            Err(_) if place.own.is_some() && began.elapsed() < PATIENCE => {
                sleep(CONNECT_PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn connect_once(place: &Place) -> sqlx::Result<PgConnection> {
    let options: PgConnectOptions = place.url.parse()?;
    options.application_name(APPLICATION).connect().await
}

async fn run(
    connection: &mut PgConnection,
    place: &Place,
    transaction: &Transaction,
) -> sqlx::Result<()> {
    connection.execute("BEGIN").await?;
    if transaction.asynchronous {
        connection.execute("SET LOCAL synchronous_commit = off").await?;
    }
    if let End::Prepare(_) = transaction.end {
        connection.execute("SET LOCAL messaging.two_phase = on").await?;
    }
    for aggregate in &transaction.aggregates {
        lock(connection, place, aggregate).await?;
    }
    for step in &transaction.steps {
        take(connection, place, &transaction.aggregates, *step).await?;
    }
    match transaction.end {
        End::Commit => end(connection, "COMMIT").await,
        End::RollBack => end(connection, "ROLLBACK").await,
        End::Prepare(pause) => {
            let name = prepare(connection).await?;
            sleep(pause).await;
            end(connection, format!("COMMIT PREPARED '{name}'")).await
        }
    }
}

async fn take(
    connection: &mut PgConnection,
    place: &Place,
    aggregates: &[Aggregate],
    step: Step,
) -> sqlx::Result<()> {
    match step {
        Step::Append { aggregate, bytes } => {
            append(connection, place, &aggregates[aggregate], &vec![b'.'; bytes]).await?;
        }
        Step::Undo { aggregate } => {
            connection.execute("SAVEPOINT undone").await?;
            append(connection, place, &aggregates[aggregate], b"undone").await?;
            connection.execute("ROLLBACK TO SAVEPOINT undone").await?;
        }
        Step::Wait(duration) => sleep(duration).await,
    }
    Ok(())
}

/// Locks a key until the transaction ends. The first to come makes its row.
pub(super) async fn lock(
    connection: &mut PgConnection,
    place: &Place,
    aggregate: &Aggregate,
) -> sqlx::Result<()> {
    lock_key(connection, &place.topics[aggregate.topic], &aggregate.key).await
}

/// The same for any topic.
pub(super) async fn lock_key(
    connection: &mut PgConnection,
    topic: &str,
    key: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO campaign.keys (topic, key) VALUES ($1, $2)
        ON CONFLICT (topic, key) DO UPDATE SET version = keys.version",
    )
    .bind(topic)
    .bind(key)
    .execute(connection)
    .await
    .map(drop)
}

async fn append(
    connection: &mut PgConnection,
    place: &Place,
    aggregate: &Aggregate,
    payload: &[u8],
) -> sqlx::Result<Uuid> {
    append_to(connection, &place.topics[aggregate.topic], &aggregate.key, payload).await
}

/// Appends an event of a key that is locked; answers its id.
pub(super) async fn append_to(
    connection: &mut PgConnection,
    topic: &str,
    key: &str,
    payload: &[u8],
) -> sqlx::Result<Uuid> {
    let id = Uuid::now_v7();
    sqlx::query(APPEND).bind(topic).bind(key).bind(id).bind(payload).execute(connection).await?;
    Ok(id)
}

/// Prepares the transaction; answers its name.
pub(super) async fn prepare(connection: &mut PgConnection) -> sqlx::Result<String> {
    let name = Uuid::now_v7().to_string();
    end(connection, format!("PREPARE TRANSACTION '{name}'")).await?;
    Ok(name)
}

/// Runs a statement of our own.
pub(super) async fn end(
    connection: &mut PgConnection,
    statement: impl Into<String>,
) -> sqlx::Result<()> {
    connection.execute(AssertSqlSafe(statement.into())).await.map(drop)
}
