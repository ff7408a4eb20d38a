//! How far a round has come: what its parts tell each other.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long a round's parts wait for each other.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// How far a round has come.
#[derive(Debug)]
pub(super) struct Course {
    transactions: watch::Sender<u64>,
    over: watch::Sender<bool>,
    began: Instant,
    stopping: watch::Sender<bool>,
}

impl Course {
    /// Of a round that begins.
    pub(super) fn new() -> Self {
        Self {
            transactions: watch::Sender::new(0),
            over: watch::Sender::new(false),
            began: Instant::now(),
            stopping: watch::Sender::new(false),
        }
    }

    /// One more transaction has ended.
    pub(super) fn transaction_ended(&self) {
        self.transactions.send_modify(|count| *count += 1);
    }

    /// Waits until so many more have.
    pub(super) async fn more_transactions(&self, count: u64) {
        let wanted = *self.transactions.borrow() + count;
        until(&self.transactions, |ended| *ended >= wanted).await;
    }

    /// The fault has happened, and is over.
    pub(super) fn fault_ended(&self) {
        self.over.send_replace(true);
    }

    /// Whether nothing is to be expected of the fault any more: it is over, or it has been waited for for long.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow() || self.began.elapsed() > PATIENCE
    }

    /// Nothing more is to come: the relay may stop.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether it may.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until it may.
    pub(super) async fn stopping(&self) {
        until(&self.stopping, |stopping| *stopping).await;
    }
}

async fn until<T>(sender: &watch::Sender<T>, wanted: impl FnMut(&T) -> bool) {
    // It fails only without a sender, and here is one.
    let _ = sender.subscribe().wait_for(wanted).await;
}
