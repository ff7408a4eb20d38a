//! PostgreSQL is stopped at once and started again, ends its clients' connections, or has none left.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::sleep;

use super::{Fault, Lane, Struck};
use crate::chaos::{ChaosError, World, world::persistently};

/// How many calls are made while there are no connections.
const CALLS: u64 = 8;

/// More than there are.
const MANY: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Stopped without a checkpoint (`immediate`): it recovers at its next start.
    Stopped,
    /// Every client's connection is ended, several times.
    BackendsEnded,
    /// All connections are taken by somebody else.
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

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let pause = Duration::from_millis(random.random_range(50..1_200));
        async move {
            match self {
                Self::Stopped => {
                    world.postgres()?.stop().await?;
                    sleep(pause).await;
                    let postgres = world.postgres()?;
                    persistently(async || postgres.start().await).await?;
                    Ok(Struck::Yes(format!("{} ms", pause.as_millis())))
                }
                Self::BackendsEnded => {
                    for _ in 0..3 {
                        persistently(async || end_backends(world).await).await?;
                        sleep(pause / 3).await;
                    }
                    Ok(Struck::Yes("3 times".to_owned()))
                }
                Self::Full => use_up(world).await,
            }
        }
        .boxed_local()
    }
}

async fn end_backends(world: &World) -> Result<(), ChaosError> {
    let mut connection = world.connect().await?;
    connection
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .await?;
    Ok(connection.close().await?)
}

/// Takes every connection that can be had, ends those of the others, and takes theirs too.
async fn use_up(world: &World) -> Result<Struck, ChaosError> {
    let mut taken: Vec<PgConnection> = Vec::new();
    while taken.len() < MANY
        && let Ok(connection) = world.connect().await
    {
        taken.push(connection);
    }
    world.recorder.more_calls(CALLS).await;
    let count = taken.len();
    for connection in taken {
        connection.close().await?;
    }
    Ok(if count < MANY { Struck::Yes(format!("{count} taken")) } else { Struck::No })
}
