//! Looks now and then for sagas that have not moved for long, and tells of them; and forgets old refusals.

use std::{convert::Infallible, error::Error, time::Duration};

use clap::Args;
use runtime::Shutdown;
use sqlx::{PgPool, types::time::OffsetDateTime};
use tracing::warn;

use crate::{
    metrics::Metrics,
    store::{order_refusals, orders},
};

/// Longer than a caller repeats a request.
const REFUSALS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// When a saga counts as stuck.
#[derive(Clone, Debug, Args)]
pub struct SweeperOptions {
    /// After how many seconds without a move a saga is reported as stuck
    #[arg(long, env = "SAGA_STUCK_AFTER_SECONDS", default_value_t = 300, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub saga_stuck_after_seconds: u32,
    /// How many seconds to pause between two looks
    #[arg(long, env = "SAGA_SWEEP_SECONDS", default_value_t = 15, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub saga_sweep_seconds: u32,
}

/// Sweeps until `shutdown`. Failures are logged, and there is a next time.
pub(crate) async fn run(
    pool: PgPool,
    options: SweeperOptions,
    metrics: Metrics,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let pause = Duration::from_secs(options.saga_sweep_seconds.into());
    let stuck_after = Duration::from_secs(options.saga_stuck_after_seconds.into());
    loop {
        if let Err(error) = sweep(&pool, stuck_after, &metrics).await {
            warn!(error = &error as &dyn Error, "sagas were not looked at, trying again later");
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn sweep(pool: &PgPool, stuck_after: Duration, metrics: &Metrics) -> sqlx::Result<()> {
    let now = OffsetDateTime::now_utc();
    let mut connection = pool.acquire().await?;
    let under_way = orders::count_under_way(&mut connection, now - stuck_after).await?;
    let needs_attention = orders::count_needing_attention(&mut connection).await?;
    metrics.swept(under_way.orders, under_way.stuck, needs_attention);
    if let Some(oldest) = under_way.oldest {
        warn!(sagas = under_way.stuck, order.id = %oldest, "sagas have not moved for long, here the oldest");
    }
    if needs_attention > 0 {
        warn!(orders = needs_attention, "orders need attention: their stock cannot be given back");
    }
    order_refusals::forget_before(&mut connection, now - REFUSALS_KEPT).await?;
    Ok(())
}
