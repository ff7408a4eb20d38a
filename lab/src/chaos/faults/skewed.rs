//! A service's clock is wrong: for a while its events are said to have happened days ago, or in days to come.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use sqlx::Executor;
use tokio::time::{Instant, sleep};

use super::{Fault, Lane, Struck, handled::Mark};
use crate::{
    audit::Owner,
    chaos::{ChaosError, World, world::persistently},
};

/// How long to wait until events with the wrong time have been handled.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many are enough.
const ENOUGH: usize = 12;
/// By how many hours a clock is wrong at most. A record's timestamp is its event's, and Kafka deletes what is older than its topic keeps
/// records, which is seven days.
const HOURS: i64 = 6 * 24;

#[derive(Clone, Copy, Debug)]
struct Skewed;

/// The one there is.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    vec![Arc::new(Skewed)]
}

impl Fault for Skewed {
    fn name(&self) -> String {
        "records.skewed".to_owned()
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let owner = *Owner::ALL.choose(&mut random).unwrap_or(&Owner::StoreManager);
        let hours = random.random_range(24..HOURS) * if random.random() { 1 } else { -1 };
        async move {
            let mark = persistently(async || Mark::now(world).await).await?;
            persistently(async || set_clock(world, owner, hours).await).await?;
            let until = Instant::now() + PATIENCE;
            let mut count = 0;
            while count < ENOUGH && Instant::now() < until {
                sleep(LOOK_EVERY).await;
                count = persistently(async || handled(world, &mark).await).await?;
            }
            persistently(async || set_clock(world, owner, 0).await).await?;
            let name = owner.name();
            Ok(Struck::only_if(
                count > 0,
                format!("{name} by {hours} hours, {count} events handled"),
            ))
        }
        .boxed_local()
    }
}

/// The clock that a service's events take their time from is so many hours ahead.
async fn set_clock(world: &World, owner: Owner, hours: i64) -> Result<(), ChaosError> {
    let mut connection = world.connect_to(owner).await?;
    // Whoever waits for this lock is not to be waited for by all others.
    connection.execute("SET lock_timeout = '500ms'").await?;
    let clock = format!(
        "ALTER TABLE messaging.outbox ALTER COLUMN created_at
        SET DEFAULT clock_timestamp() + interval '{hours} hours'"
    );
    connection.execute(sqlx::AssertSqlSafe(clock)).await?;
    Ok(())
}

/// How many events since `mark` whose time is wrong have been handled.
async fn handled(world: &World, mark: &Mark) -> Result<usize, ChaosError> {
    let readings = mark.readings(world).await?;
    let is_wrong = |reading: &&super::handled::Reading| {
        let handled_at = reading.handled_at;
        handled_at
            .is_some_and(|at| (at - reading.announced.created_at).abs() > time::Duration::HOUR)
    };
    Ok(readings.iter().filter(is_wrong).count())
}
