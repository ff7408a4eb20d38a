//! What callers did and were told, as it happens.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::watch;
use uuid::Uuid;

use crate::history::{Answer, Command, History, Invocation, Reply};

/// The record of a round.
#[derive(Debug, Default)]
pub struct Recorder {
    invocations: Mutex<Vec<Invocation>>,
    /// The orders that callers know of.
    orders: Mutex<Vec<Uuid>>,
    ended: watch::Sender<u64>,
    over: watch::Sender<bool>,
}

impl Recorder {
    /// A call begins; answers its number.
    pub(super) fn begin(&self, command: Command) -> usize {
        let began = SystemTime::now();
        let mut invocations = lock(&self.invocations);
        invocations.push(Invocation { command, began, ended: None, answer: Answer::Unknown });
        invocations.len() - 1
    }

    /// The call has ended so.
    pub(super) fn end(&self, number: usize, answer: &Answer) {
        if let Some(invocation) = lock(&self.invocations).get_mut(number) {
            invocation.ended = Some(SystemTime::now());
            invocation.answer = answer.clone();
        }
        if let Answer::Ok(Reply::Order { order_id, .. }) = answer {
            let mut orders = lock(&self.orders);
            if !orders.contains(order_id) {
                orders.push(*order_id);
            }
        }
        self.ended.send_modify(|count| *count += 1);
    }

    /// An order that is known, counted back from the last one, and after the first from the last one again.
    pub(super) fn order(&self, back: usize) -> Option<Uuid> {
        let orders = lock(&self.orders);
        let back = back.checked_rem(orders.len())?;
        orders.iter().rev().nth(back).copied()
    }

    /// Waits until so many more calls have ended.
    pub(crate) async fn more_calls(&self, count: u64) {
        let wanted = *self.ended.borrow() + count;
        // It fails only without a sender, and here is one.
        let _ = self.ended.subscribe().wait_for(|ended| *ended >= wanted).await;
    }

    /// Nothing more is going to be broken.
    pub(crate) fn stop(&self) {
        self.over.send_replace(true);
    }

    /// Whether nothing more is going to be broken.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// All of it.
    #[must_use]
    pub fn history(&self) -> History {
        History { invocations: lock(&self.invocations).clone() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
