//! PostgreSQL is stopped at once and started again, ends its clients' connections, or has none left.

use std::{str::FromStr, sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{Fault, Lane, Struck};
use crate::{
    chaos::{ChaosError, World, world::persistently},
    links::Link,
    processes::Program,
};

/// How many calls are made while there are no connections.
const CALLS: u64 = 8;

/// How long it may take until all connections are taken, and then until somebody is refused.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What whoever takes the connections is called.
const TAKER: &str = "lab-taker";

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Stopped without a checkpoint (`immediate`): it recovers at its next start.
    Stopped,
    /// Every client's connection is ended, several times.
    BackendsEnded,
    /// All connections are taken by somebody else, those that the programs had too.
    Full,
}

/// All kinds.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    let all = [Trouble::Stopped, Trouble::BackendsEnded, Trouble::Full];
    all.into_iter().map(|trouble| Arc::new(trouble) as Arc<dyn Fault>).collect()
}

impl Fault for Trouble {
    fn name(&self) -> String {
        let what = match self {
            Self::Stopped => "stopped",
            Self::BackendsEnded => "backends-ended",
            Self::Full => "full",
        };
        format!("postgres.{what}")
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn cuts_off(&self) -> bool {
        true
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let pause = Duration::from_millis(random.random_range(50..1_200));
        async move {
            match self {
                Self::Stopped => {
                    let postgres = world.postgres()?;
                    let was_running = world.connect().await.is_ok();
                    postgres.stop().await?;
                    sleep(pause).await;
                    persistently(async || postgres.start().await).await?;
                    Ok(Struck::only_if(was_running, format!("{} ms", pause.as_millis())))
                }
                Self::BackendsEnded => {
                    let mut ended = 0;
                    for _ in 0..3 {
                        ended += persistently(async || end_backends(world).await).await?;
                        sleep(pause / 3).await;
                    }
                    Ok(Struck::only_if(ended > 0, format!("{ended} ended")))
                }
                Self::Full => use_up(world).await,
            }
        }
        .boxed_local()
    }
}

async fn end_backends(world: &World) -> Result<i64, ChaosError> {
    let mut connection = world.connect().await?;
    let ended = end_others(&mut connection).await?;
    connection.close().await?;
    Ok(ended)
}

/// Ends all connections but those that were taken, and this one; answers how many it ended.
async fn end_others(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let end = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> $1";
    sqlx::query_scalar(end).bind(TAKER).fetch_one(connection).await
}

/// How many connections others have.
async fn others(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> $1";
    let count: i64 = sqlx::query_scalar(count).bind(TAKER).fetch_one(connection).await?;
    Ok(count.unsigned_abs())
}

/// Takes every connection that can be had, ends those of the others and takes theirs too, and waits until programs were refused.
async fn use_up(world: &World) -> Result<Struck, ChaosError> {
    let options = PgConnectOptions::from_str(world.system().store_manager_database())?;
    let options = options.application_name(TAKER);
    let mut first = persistently(async || options.connect().await).await?;
    let mut taken = Vec::new();
    let until = Instant::now() + PATIENCE;
    while others(&mut first).await? > 0 && Instant::now() < until {
        end_others(&mut first).await?;
        // Refused once there are no more.
        while let Ok(connection) = options.connect().await {
            taken.push(connection);
        }
    }
    let before = reached(world)?;
    world.recorder.more_calls(CALLS).await;
    let until = Instant::now() + PATIENCE;
    let mut refused = 0;
    while refused == 0 && Instant::now() < until {
        sleep(LOOK_EVERY).await;
        refused = (reached(world)? - before).saturating_sub(others(&mut first).await?);
    }
    let count = taken.len();
    for connection in taken.into_iter().chain([first]) {
        connection.close().await?;
    }
    let way = format!("{count} taken, {refused} refused");
    Ok(Struck::only_if(count > 0 && refused > 0, way))
}

/// How many connections of the programs have reached the server so far, whether it took them or not.
fn reached(world: &World) -> Result<u64, ChaosError> {
    let of = |program| Ok(world.link(Link::Postgres(program))?.carried());
    Program::ALL.into_iter().map(of).sum()
}
