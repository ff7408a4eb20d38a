//! The worker: brings the provider to agree with the payments.
//!
//! In: rows that are not settled (`settled_at IS NULL`), read at the start, when a commit wakes the worker, and as a slow
//! fallback. For each it calls the provider **outside any transaction**, then locks the row, decides by its state, writes
//! and announces in one. Out: `PaymentCreated`, `PaymentCreationFailed`, `PaymentCancelled`.
//!
//! Killed at any point it starts again from the rows: a call repeated with the same payment id adds nothing at the
//! provider, and an answer repeated finds the state it led to. So several processes may work on the same rows too; the
//! row lock lets one of them announce. A provider that is down is asked again without end, because the order waits for its
//! answer and nobody else can give it; each failure puts the row's next call off for longer.

mod settle;

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use messaging::Context;
use proto::PaymentId;
use runtime::Shutdown;
use sqlx::PgPool;
use tokio::{sync::Notify, time::MissedTickBehavior};
use tracing::{debug, warn};

pub use settle::{SettleError, settle};

use crate::{
    domain::{Payment, PaymentState},
    metrics::PaymentsMetrics,
    provider::Provider,
    store::payments,
};

/// How the worker calls the provider.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Provider calls")]
pub struct WorkerOptions {
    /// Calls at one time at most
    #[arg(long, env = "PROVIDER_CONCURRENCY", value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub provider_concurrency: u16,
    /// A call that takes longer has failed and is repeated
    #[arg(long, env = "PROVIDER_TIMEOUT_MS", value_name = "MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub provider_timeout_ms: u64,
    /// How often the worker looks for rows that nothing woke it for
    #[arg(long, env = "PROVIDER_RESCAN_MS", value_name = "MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(10..))]
    pub provider_rescan_ms: u64,
}

/// Rows read at one time.
const PAGE: usize = 64;

/// The worker of one process.
pub struct Worker<P> {
    pool: PgPool,
    provider: P,
    wake: Arc<Notify>,
    options: WorkerOptions,
    metrics: PaymentsMetrics,
}

/// What is in work: the payment's id when it is done, and whether to look at once what is owed for it now.
type Work<'a> = FuturesUnordered<BoxFuture<'a, (PaymentId, bool)>>;

impl<P: Provider> Worker<P> {
    /// Makes a worker that is woken through `wake`.
    #[must_use]
    pub fn new(
        pool: PgPool,
        provider: P,
        wake: Arc<Notify>,
        options: WorkerOptions,
        metrics: PaymentsMetrics,
    ) -> Self {
        Self { pool, provider, wake, options, metrics }
    }

    /// Works until `shutdown`, then finishes what is in work.
    ///
    /// # Errors
    /// None: whatever fails is tried again.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let mut rescan =
            tokio::time::interval(Duration::from_millis(self.options.provider_rescan_ms));
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let concurrency = usize::from(self.options.provider_concurrency);
        let mut work = Work::new();
        let mut queue = Queue::default();
        let mut look = true;
        while !shutdown.is_requested() {
            if look && queue.waiting.is_empty() {
                look = self.fill(&mut queue).await;
            }
            while work.len() < concurrency
                && let Some((payment, cause)) = queue.waiting.pop_front()
            {
                work.push(self.settle(payment, cause).boxed());
            }
            tokio::select! {
                () = shutdown.requested() => break,
                Some((payment_id, again)) = work.next() => look |= queue.done(payment_id) || again,
                () = self.wake.notified(), if !look => look = true,
                _ = rescan.tick() => {
                    self.measure().await;
                    look = true;
                }
            }
        }
        while work.next().await.is_some() {}
        Ok(())
    }

    /// Reads what is owed now; whether there may be more.
    async fn fill(&self, queue: &mut Queue) -> bool {
        let limit = PAGE + queue.taken.len();
        match payments::owed(&self.pool, i64::try_from(limit).unwrap_or(i64::MAX)).await {
            Ok(rows) => {
                let full = rows.len() == limit;
                rows.into_iter().for_each(|(payment, cause)| queue.add(payment, cause));
                full
            }
            Err(error) => {
                warn!(error = %error, "payments owed to the provider cannot be read, trying again");
                false
            }
        }
    }

    async fn measure(&self) {
        match payments::owed_totals(&self.pool).await {
            Ok((count, oldest_age_seconds)) => self.metrics.owed(count, oldest_age_seconds),
            Err(error) => debug!(error = %error, "what is owed to the provider cannot be counted"),
        }
    }

    /// Settles one payment, or puts it off.
    async fn settle(&self, payment: Payment, cause: Context) -> (PaymentId, bool) {
        let timeout = Duration::from_millis(self.options.provider_timeout_ms);
        let payment_id = payment.payment_id;
        let settled =
            settle(&self.pool, &self.provider, timeout, &self.metrics, &payment, &cause).await;
        match settled {
            Ok(payment) => (payment_id, payment.owed_call().is_some()),
            Err(error) => {
                error.log(payment_id);
                if let Err(error) = payments::postpone(&self.pool, payment_id).await {
                    warn!(payment.id = %payment_id, error = %error, "the next call cannot be put off");
                }
                (payment_id, false)
            }
        }
    }
}

#[derive(Default)]
struct Queue {
    /// Read and not begun, with what their announcements inherit.
    waiting: VecDeque<(Payment, Context)>,
    /// Read and not done: in which state, and whether it was read in another one since.
    taken: HashMap<PaymentId, (PaymentState, bool)>,
}

impl Queue {
    fn add(&mut self, payment: Payment, cause: Context) {
        match self.taken.entry(payment.payment_id) {
            Entry::Vacant(entry) => {
                entry.insert((payment.state, false));
                self.waiting.push_back((payment, cause));
            }
            Entry::Occupied(mut entry) => {
                let (state, changed) = entry.get_mut();
                *changed |= *state != payment.state;
            }
        }
    }

    /// Whether something else has come to be owed for this payment meanwhile.
    fn done(&mut self, payment_id: PaymentId) -> bool {
        self.taken.remove(&payment_id).is_some_and(|(_, changed)| changed)
    }
}
