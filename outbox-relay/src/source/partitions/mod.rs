//! Keeps the partitions of the outbox: there before their numbers are drawn, and gone when nobody needs them any more, in a way
//! that no writer waits for.

mod ahead;
mod ddl;
mod mark;
mod present;
mod retention;

use std::convert::Infallible;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub(crate) use retention::Retention;

use crate::core::published::Published;
use crate::metrics::PartitionMetrics;
use crate::source::chain;
use crate::source::database::DatabaseError;
use crate::source::partitions::ddl::Ddl;
use crate::source::partitions::present::Present;
use crate::status::Status;

/// How often the partitions are looked at, at least.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// How soon a failure is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long one round may take.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);

/// How many partitions there should be ahead, how large new ones are, and how long old ones stay.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    /// Numbers in a new partition.
    pub(crate) rows: i64,
    /// Partitions wanted wholly above the sequence's last value.
    pub(crate) ahead: usize,
    /// For how long published ones are kept.
    pub(crate) retention: Retention,
}

/// Why the partitions are not as they should be.
#[derive(Debug, Error)]
pub(crate) enum PartitionsError {
    /// The database does not answer, or the outbox is not there.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The relay has not the right.
    #[error(
        "the role {role} may not change messaging.outbox, which belongs to {owner}: GRANT {owner} TO {role}, or give \
         --partitions-ahead 0 and --retention off and see to the partitions yourself"
    )]
    NotOwner {
        /// As whom the relay is connected.
        role: String,
        /// Whose the table is.
        owner: String,
    },
    /// The owner has not the right.
    #[error(
        "the role {owner} may not create tables: GRANT USAGE, CREATE ON SCHEMA messaging TO {owner}"
    )]
    NoSchema {
        /// Whose the table is.
        owner: String,
    },
    /// There is a partition for what belongs nowhere else.
    #[error(
        "messaging.outbox has the default partition {0}, beside which none can be created or dropped without stopping the \
         writers: move its rows and drop it"
    )]
    Default(String),
    /// One cannot be created.
    #[error("{table} cannot be created")]
    Create {
        /// Its name.
        table: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// One cannot be dropped.
    #[error("{table} cannot be dropped yet")]
    Drop {
        /// Its name.
        table: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// The round took too long.
    #[error("the database has not answered within 60 s")]
    Late(#[from] tokio::time::error::Elapsed),
}

impl From<sqlx::Error> for PartitionsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// When there is something to do again.
#[derive(Debug)]
struct Next {
    /// After so long, whatever happens.
    after: Duration,
    /// When so much is published: numbers have been drawn from the next partition.
    head: i64,
    /// When all up to there is done with: another partition is wholly published.
    floor: i64,
}

impl Partitions {
    /// Creates and drops, for ever, guided by what is known to be published. A failure is a metric and a part of the health report
    /// at once, and makes the source unready when half the reserve is used.
    pub(crate) async fn keep(
        &self,
        url: &str,
        published: &watch::Sender<Option<Published>>,
        status: &Status,
        metrics: &PartitionMetrics,
    ) -> Infallible {
        let mut published = published.subscribe();
        let mut trouble = None;
        loop {
            let known = published.borrow_and_update().clone();
            let round = timeout(ROUND_TIMEOUT, self.round(url, known.as_ref(), metrics)).await;
            match round.unwrap_or_else(|late| Err(late.into())) {
                Ok(next) => {
                    trouble = None;
                    status.partitions(None, false);
                    next.reached(&mut published).await;
                }
                Err(error) => {
                    self.failed(&error, &mut trouble, status, metrics);
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Looks once, creates what is missing, drops what may go.
    async fn round(
        &self,
        url: &str,
        published: Option<&Published>,
        metrics: &PartitionMetrics,
    ) -> Result<Next, PartitionsError> {
        let mut ddl = Ddl::connect(url).await?;
        let mut present = Present::read(&mut ddl.connection).await?;
        count(&present, metrics);
        let mut wait = None;
        if self.ahead > 0 || self.retention != Retention::Off {
            ddl.become_owner().await?;
            let created = ahead::create(&mut ddl, &mut present, self.ahead, self.rows).await;
            count(&present, metrics);
            let retired =
                retention::retire(&mut ddl, &present, published, self.retention, metrics).await;
            created?;
            wait = retired?;
        }
        ddl.close().await?;
        let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
        Ok(Next {
            after: wait.map_or(CHECK_EVERY, |wait| wait.min(CHECK_EVERY)),
            head: present.next_end(present.last),
            floor: present.next_end(published.map_or(0, |published| published.floor)),
        })
    }

    /// Tells of a failure: in the log only when it is another than the last.
    fn failed(
        &self,
        error: &PartitionsError,
        trouble: &mut Option<String>,
        status: &Status,
        metrics: &PartitionMetrics,
    ) {
        let reason = chain(error);
        if trouble.as_ref() != Some(&reason) {
            tracing::error!(reason, "the partitions are not as they should be");
        }
        let ahead = usize::try_from(metrics.ahead.get()).unwrap_or(0);
        if matches!(error, PartitionsError::Drop { .. }) {
            metrics.retention_failures.inc();
            status.partitions(Some(reason.clone()), false);
        } else {
            metrics.failures.inc();
            let told = format!(
                "only {ahead} partitions are ahead of the sequence and no more can be created: {reason}"
            );
            status.partitions(Some(told), ahead < self.ahead.div_ceil(2));
        }
        *trouble = Some(reason);
    }
}

impl Next {
    /// Waits for it.
    async fn reached(&self, published: &mut watch::Receiver<Option<Published>>) {
        let far_enough = |known: &Option<Published>| {
            known.as_ref().is_some_and(|known| known.head >= self.head || known.floor >= self.floor)
        };
        tokio::select! {
            () = sleep(self.after) => {}
            _far = published.wait_for(far_enough) => {}
        }
    }
}

fn count(present: &Present, metrics: &PartitionMetrics) {
    metrics.ahead.set(i64::try_from(present.ahead()).unwrap_or(i64::MAX));
    metrics.present.set(i64::try_from(present.attached().count()).unwrap_or(i64::MAX));
}
