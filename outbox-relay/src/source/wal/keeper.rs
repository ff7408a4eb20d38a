//! Keeps the slot, beside the relay that leads: makes it, watches what it holds back, drops it when it is of no use, and tries again.
//!
//! Nothing is lost with a slot, because the table has every row. So whatever is wrong with it, it is dropped; a slot that nobody
//! follows holds back WAL until the disk is full.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::metrics::SourceMetrics;
use crate::source::chain;
use crate::source::wal::Feed;
use crate::source::wal::slot::{Slot, SlotError, Slots};
use crate::status::Status;

/// How often the slot is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How soon an unwanted slot that could not be dropped is tried again.
const DROP_AGAIN: Duration = Duration::from_secs(30);

/// The pause after a slot was lost; doubled up to [`LONGEST_PAUSE`] until one has lasted that long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause until a slot is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Failures in a row after which the slot itself is under suspicion.
const SUSPICIOUS: u32 = 3;

/// Whether there is a slot to follow.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// There is none, and why.
    Absent(String),
    /// It is there, and nobody holds it.
    Present(Slot),
}

/// What there is to be said of a slot that is not followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as good as before.
    Good,
    /// It may be, but not if this happens again and again.
    Doubtful,
    /// It is to be dropped.
    Bad,
}

/// What the follower tells of a stream that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Why.
    pub(super) reason: String,
    /// What that says of the slot.
    pub(super) verdict: Verdict,
}

/// The keeper's end of the line to the follower.
pub(crate) struct Keeper {
    pub(super) feed: Feed,
    pub(super) state: watch::Sender<State>,
    pub(super) ended: mpsc::Receiver<Ended>,
}

/// Why a slot is not kept any more.
struct Lost {
    ended: Ended,
    /// Whether the follower knows already, because it has said so.
    known: bool,
}

impl Keeper {
    /// Keeps the slot of the database at `url`, or sees to it that there is none, for ever.
    pub(crate) async fn keep(
        mut self,
        url: &str,
        status: &Status,
        metrics: &SourceMetrics,
    ) -> Infallible {
        let Feed::Wal { budget } = self.feed else { return keep_none(url, status).await };
        let (mut drop_first, mut failures, mut told) = (false, 0_u32, String::new());
        loop {
            let began = Instant::now();
            let Lost { ended, known } = self.keep_once(url, budget, drop_first, metrics).await;
            metrics.slot_retained.set(0);
            if !known {
                if ended.reason != told {
                    tracing::warn!(reason = ended.reason, "there is no slot to follow");
                    told.clone_from(&ended.reason);
                }
                let _nobody_listens = self.state.send(State::Absent(ended.reason));
            }
            let lasted = began.elapsed() > LONGEST_PAUSE || ended.verdict == Verdict::Good;
            failures = if lasted { 1 } else { failures + 1 };
            drop_first = ended.verdict == Verdict::Bad || failures >= SUSPICIOUS;
            if drop_first && let Err(error) = drop_slot(url).await {
                tracing::warn!(reason = chain(&error), "the slot is not dropped yet");
            }
            sleep((SHORTEST_PAUSE * 2_u32.pow(failures.min(12))).min(LONGEST_PAUSE)).await;
        }
    }

    /// Makes the slot, or finds it, and watches over it until it is lost.
    async fn keep_once(
        &mut self,
        url: &str,
        budget: u64,
        drop_first: bool,
        metrics: &SourceMetrics,
    ) -> Lost {
        while let Ok(_late) = self.ended.try_recv() {}
        let prepared = async {
            let mut slots = Slots::connect(url).await?;
            let slot = prepare(&mut slots, url, budget, drop_first, metrics).await?;
            Ok::<_, SlotError>((slots, slot))
        };
        let (mut slots, slot) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return error.into(),
        };
        let _nobody_listens = self.state.send(State::Present(slot));
        tokio::select! {
            error = watch_over(&mut slots, budget, metrics) => error.into(),
            ended = self.ended.recv() => match ended {
                Some(ended) => Lost { ended, known: true },
                // The follower is gone with its leader, and this future is about to go.
                None => pending().await,
            },
        }
    }
}

impl From<SlotError> for Lost {
    fn from(error: SlotError) -> Self {
        let verdict = match &error {
            SlotError::Gone(_) => Verdict::Good,
            SlotError::Database(_) => Verdict::Doubtful,
            SlotError::Publication
            | SlotError::Unlogged(_)
            | SlotError::Unusable { .. }
            | SlotError::OverBudget { .. }
            | SlotError::Held(_) => Verdict::Bad,
        };
        Self { ended: Ended { reason: chain(&error), verdict }, known: false }
    }
}

/// The slot that was there, or a new one.
async fn prepare(
    slots: &mut Slots,
    url: &str,
    budget: u64,
    drop_first: bool,
    metrics: &SourceMetrics,
) -> Result<Slot, SlotError> {
    // A slot older than its publication would look for it in vain.
    if !slots.publish().await? || drop_first {
        slots.drop_slot().await?;
    }
    match slots.find(budget).await {
        Ok(slot) => return Ok(slot),
        Err(SlotError::Gone(_)) => {}
        Err(error @ (SlotError::Unusable { .. } | SlotError::OverBudget { .. })) => {
            tracing::warn!(reason = chain(&error), "the slot is made again");
            slots.drop_slot().await?;
        }
        Err(
            error @ (SlotError::Database(_)
            | SlotError::Publication
            | SlotError::Unlogged(_)
            | SlotError::Held(_)),
        ) => return Err(error),
    }
    let mut others = Slots::connect(url).await?;
    tokio::select! {
        created = slots.create() => {
            others.close().await?;
            created
        }
        error = watch_over(&mut others, budget, metrics) => Err(error),
    }
}

/// Looks at the slot until it is of no use.
async fn watch_over(slots: &mut Slots, budget: u64, metrics: &SourceMetrics) -> SlotError {
    let mut seen = false;
    loop {
        match slots.retained(budget).await {
            Ok(retained) => {
                seen = true;
                metrics.slot_retained.set(i64::try_from(retained).unwrap_or(i64::MAX));
            }
            // It is about to be made.
            Err(SlotError::Gone(_)) if !seen => {}
            Err(error) => return error,
        }
        sleep(WATCH_EVERY).await;
    }
}

async fn drop_slot(url: &str) -> Result<(), SlotError> {
    let mut slots = Slots::connect(url).await?;
    slots.drop_slot().await?;
    slots.close().await
}

/// Where the table is polled, a slot is only a danger: drops what an earlier run has left.
async fn keep_none(url: &str, status: &Status) -> Infallible {
    while let Err(error) = drop_slot(url).await {
        let reason = chain(&error);
        tracing::warn!(reason, "the slot of an earlier run may still be there and hold back WAL");
        status.feed(&format!("table (a slot of an earlier run may still be there: {reason})"));
        sleep(DROP_AGAIN).await;
    }
    status.feed("table");
    pending().await
}
