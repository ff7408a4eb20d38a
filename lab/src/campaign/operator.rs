//! Events that Kafka refuses, and the operator who helps: the events of one key, some of them too large for their topic.

use std::time::Duration;

use rand::Rng;
use sqlx::PgConnection;
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    RoundError,
    course::{Course, PATIENCE},
    place::{Place, SMALL},
    records::Listener,
    script,
    writers::{append_to, connect, end, lock_key},
};
use crate::invariants::Event;

const KEY: &str = "refused";
const EVENTS: usize = 9;
const QUIET: Duration = Duration::from_millis(50);
const REPLACEMENT: &[u8] = b"replaced by the operator";

/// How the operator helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Help {
    /// The topic takes large records from now on.
    Retry,
    /// Another payload is sent.
    Replace,
    /// The event is never sent.
    Skip,
}

/// What became of the events that were too large.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    skipped: Vec<Uuid>,
    replaced: Vec<Uuid>,
}

impl Outcomes {
    /// The rows as they are to stand on Kafka.
    pub(super) fn apply(&self, rows: &mut Vec<(Event, Vec<u8>)>) {
        rows.retain(|(row, _)| !self.skipped.contains(&row.id));
        for (_, payload) in rows.iter_mut().filter(|(row, _)| self.replaced.contains(&row.id)) {
            *payload = REPLACEMENT.to_vec();
        }
    }
}

/// Writes the events and helps each that is refused, until the last one is on Kafka.
pub(super) async fn operate(
    place: &Place,
    course: &Course,
    seed: u64,
) -> Result<Outcomes, RoundError> {
    let mut random = script::random(seed, "operator");
    let mut listener = Listener::open(&place.brokers, &[&place.small_topic]).await?;
    let mut connection = connect(place).await?;
    let help = [Help::Retry, Help::Replace, Help::Skip][random.random_range(0..3)];
    let mut events = Vec::new();
    // The last one is small, so that it shows when all before it are through.
    for number in 0..EVENTS {
        let is_large = number % 3 == 1;
        let bytes = if is_large { SMALL * 2 } else { 10 };
        let payload: Vec<u8> = (0..bytes).map(|_| random.random()).collect();
        end(&mut connection, "BEGIN").await?;
        lock_key(&mut connection, &place.small_topic, KEY).await?;
        events
            .push((append_to(&mut connection, &place.small_topic, KEY, &payload).await?, is_large));
        end(&mut connection, "COMMIT").await?;
        course.transaction_ended();
    }
    let mut outcomes = Outcomes::default();
    for pair in events.windows(2) {
        let [(event, is_large), (follower, _)] = *pair else { continue };
        if is_large {
            match help {
                Help::Retry => place.enlarge_small_topic().await?,
                Help::Replace => outcomes.replaced.push(event),
                Help::Skip => outcomes.skipped.push(event),
            }
            until_heard(&mut connection, place, &mut listener, help, (event, follower)).await?;
        }
    }
    Ok(outcomes)
}

/// Commands until the event after the refused one is on Kafka. A command may come too early, or have been carried out by a relay that
/// died before it could answer.
async fn until_heard(
    connection: &mut PgConnection,
    place: &Place,
    listener: &mut Listener,
    help: Help,
    (event, follower): (Uuid, Uuid),
) -> Result<(), RoundError> {
    let began = std::time::Instant::now();
    while listener.hear(&[follower], QUIET).await > 0 {
        if began.elapsed() > PATIENCE {
            return Err(RoundError::NotHelped(event));
        }
        let command = command(connection, place, help, event).await?;
        while !is_answered(connection, command).await? && began.elapsed() < PATIENCE {
            sleep(QUIET).await;
        }
    }
    Ok(())
}

async fn command(
    connection: &mut PgConnection,
    place: &Place,
    help: Help,
    event: Uuid,
) -> sqlx::Result<Uuid> {
    let (name, payload) = match help {
        Help::Retry => ("retry", None),
        Help::Replace => ("replace", Some(REPLACEMENT)),
        Help::Skip => ("skip", None),
    };
    sqlx::query_scalar(
        "INSERT INTO messaging.outbox_command (command, aggregatetype, aggregateid, event_id, payload)
        VALUES ($1, $2, $3, $4, $5)
        RETURNING id",
    )
    .bind(name)
    .bind(&place.small_topic)
    .bind(KEY)
    .bind(event)
    .bind(payload)
    .fetch_one(connection)
    .await
}

async fn is_answered(connection: &mut PgConnection, command: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT answered_at IS NOT NULL FROM messaging.outbox_command WHERE id = $1")
        .bind(command)
        .fetch_one(connection)
        .await
}
