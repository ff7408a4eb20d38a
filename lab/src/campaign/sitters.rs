//! Writers that stay in their transactions while others overtake them.

use std::time::Duration;

use rand::Rng;
use sqlx::PgConnection;
use tokio::time::sleep;

use super::{
    course::Course,
    place::Place,
    script,
    writers::{append_to, connect, end, lock_key, prepare},
};

/// How often a sitter sits down at least.
const SITTINGS: usize = 8;

/// How often once the fault is over.
const SITTINGS_AFTER: usize = 5;

/// Sits in a transaction while the key's next event waits for its lock, so that both are committed within less than a millisecond. A
/// relay that has seen neither must not send the second one first, though it lies far above the head and the first far below.
pub(super) async fn sit(
    place: &Place,
    course: &Course,
    seed: u64,
    sitter: usize,
) -> sqlx::Result<()> {
    let key = format!("sitting {sitter}");
    let mut random = script::random(seed, &key);
    let mut pair = Pair::connect(place, seed).await?;
    let (mut sittings, mut after) = (0, 0);
    while sittings < SITTINGS || after < SITTINGS_AFTER {
        let pause = Duration::from_millis(random.random_range(2..90));
        match pair.sit_once(place, &key, pause).await {
            Ok(()) => course.transaction_ended(),
            Err(_) if place.own.is_some() => pair = Pair::connect(place, seed).await?,
            Err(error) => return Err(error),
        }
        sittings += 1;
        after += usize::from(course.is_over());
    }
    Ok(())
}

/// The connections of the one who sits and of the one who waits.
struct Pair {
    sitting: PgConnection,
    waiting: PgConnection,
}

impl Pair {
    async fn connect(place: &Place, seed: u64) -> sqlx::Result<Self> {
        let mut pair = Self { sitting: connect(place).await?, waiting: connect(place).await? };
        if script::is_all_asynchronous(seed) {
            for connection in [&mut pair.sitting, &mut pair.waiting] {
                end(connection, "SET synchronous_commit = off").await?;
            }
        }
        Ok(pair)
    }

    async fn sit_once(&mut self, place: &Place, key: &str, pause: Duration) -> sqlx::Result<()> {
        begin_with(&mut self.sitting, place, key, "early").await?;
        // It waits for the lock before it draws its number.
        let late = append_to(&mut self.waiting, &place.topics[0], key, b"late");
        let early = async {
            sleep(pause).await;
            end(&mut self.sitting, "COMMIT").await
        };
        tokio::try_join!(late, early).map(drop)
    }
}

/// Begins a transaction, locks the key and appends an event.
async fn begin_with(
    connection: &mut PgConnection,
    place: &Place,
    key: &str,
    payload: &str,
) -> sqlx::Result<()> {
    let topic = &place.topics[0];
    end(connection, "BEGIN; SET LOCAL messaging.two_phase = on").await?;
    lock_key(connection, topic, key).await?;
    append_to(connection, topic, key, payload.as_bytes()).await.map(drop)
}

/// A transaction that is open, or prepared, as long as the round lasts.
pub(super) struct Long {
    connection: PgConnection,
    prepared: Option<String>,
    commits: bool,
}

impl Long {
    /// Begins it.
    pub(super) async fn begin(place: &Place, seed: u64) -> sqlx::Result<Self> {
        let mut random = script::random(seed, "long");
        let mut connection = connect(place).await?;
        begin_with(&mut connection, place, "long", "of the long transaction").await?;
        let prepared = match random.random_ratio(1, 3) {
            true => Some(prepare(&mut connection).await?),
            false => None,
        };
        Ok(Self { connection, prepared, commits: random.random_ratio(3, 4) })
    }

    /// Ends it, and writes the key's next event at once.
    pub(super) async fn finish(mut self, place: &Place) -> sqlx::Result<()> {
        let how = if self.commits { "COMMIT" } else { "ROLLBACK" };
        let statement = match &self.prepared {
            Some(name) => format!("{how} PREPARED '{name}'"),
            None => how.to_owned(),
        };
        match end(&mut self.connection, statement.as_str()).await {
            Ok(()) => {}
            // The server was stopped meanwhile: what was not prepared is gone.
            Err(_) if place.own.is_some() => {
                self.connection = connect(place).await?;
                if self.prepared.is_some() {
                    end(&mut self.connection, statement).await?;
                }
            }
            Err(error) => return Err(error),
        }
        begin_with(&mut self.connection, place, "long", "after the long transaction").await?;
        end(&mut self.connection, "COMMIT").await
    }
}

/// Commits what a writer had prepared when the server was stopped; the long transaction stays.
pub(super) async fn commit_what_is_prepared(place: &Place, long: &Long) -> sqlx::Result<()> {
    let mut connection = connect(place).await?;
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND gid IS DISTINCT FROM $1",
    )
    .bind(&long.prepared)
    .fetch_all(&mut connection)
    .await?;
    for name in names {
        end(&mut connection, format!("COMMIT PREPARED '{name}'")).await?;
    }
    Ok(())
}
