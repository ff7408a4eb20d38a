//! The states of an order as they are reached.

use std::{collections::VecDeque, time::Duration};

use futures::{Stream, stream};
use proto::{OrderId, store::orders::v1::WatchOrderResponse};
use sqlx::PgPool;
use tokio::time::timeout;
use tonic::Status;

use crate::{
    answers,
    store::order_states::{self, ReachedState},
    watches::{TooManyWatches, Watch, Watches},
};

/// After how long without a wake the order is looked at all the same: another process may have moved it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why an order cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchOrderError {
    /// There is none.
    #[error("there is no such order")]
    NoSuchOrder,
    /// As many are watched as may be.
    #[error("too many orders are watched")]
    TooMany(#[from] TooManyWatches),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// The states of an order: those read and not told yet, then those to come.
#[derive(Debug)]
pub(crate) struct States {
    pool: PgPool,
    order_id: OrderId,
    watch: Watch,
    waiting: VecDeque<ReachedState>,
    last: ReachedState,
}

/// Subscribes first and reads then, so that no state is missed in between.
pub(crate) async fn watch_order(
    pool: &PgPool,
    watches: &Watches,
    order_id: OrderId,
) -> Result<States, WatchOrderError> {
    let watch = watches.subscribe(order_id)?;
    let mut connection = pool.acquire().await?;
    let reached = order_states::of_order_after(&mut connection, order_id, 0).await?;
    let last = reached.last().cloned().ok_or(WatchOrderError::NoSuchOrder)?;
    Ok(States { pool: pool.clone(), order_id, watch, waiting: reached.into(), last })
}

impl States {
    /// The next state; `None` once the order's last known state is an end and has been told.
    async fn next(&mut self) -> sqlx::Result<Option<ReachedState>> {
        loop {
            if let Some(reached) = self.waiting.pop_front() {
                return Ok(Some(reached));
            }
            if self.last.state.is_end() {
                return Ok(None);
            }
            // Woken or not, the table decides.
            let _ = timeout(LOOK_AGAIN, self.watch.woken()).await;
            self.read().await?;
        }
    }

    async fn read(&mut self) -> sqlx::Result<()> {
        let mut connection = self.pool.acquire().await?;
        let reached =
            order_states::of_order_after(&mut connection, self.order_id, self.last.state_id)
                .await?;
        if let Some(last) = reached.last() {
            self.last = last.clone();
        }
        self.waiting.extend(reached);
        Ok(())
    }
}

/// The states as a stream of answers, which ends with the order or with the first failure.
pub(crate) fn answers(
    states: States,
    failed: fn(sqlx::Error) -> Status,
) -> impl Stream<Item = Result<WatchOrderResponse, Status>> + Send + 'static {
    stream::try_unfold(states, move |mut states| async move {
        let reached = states.next().await.map_err(failed)?;
        Ok(reached.map(|reached| (answers::reached_state(states.order_id, &reached), states)))
    })
}
