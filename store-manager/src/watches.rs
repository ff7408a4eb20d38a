//! Who waits for an order in this process, and is woken after a commit that may have moved it. Changes made by other
//! replicas wake nobody here: those who wait look again by themselves now and then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::OrderId;
use tokio::sync::watch::{Receiver, Sender};

/// How many may wait at once in one process.
const LIMIT: usize = 1_000;

/// Those who wait, by order; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Watches(Arc<Mutex<HashMap<OrderId, Sender<()>>>>);

/// As many wait as may.
#[derive(Debug, thiserror::Error)]
#[error("{LIMIT} orders are being watched already")]
pub(crate) struct TooManyWatches;

impl Watches {
    /// Begins to wait for an order: from now on no wake is missed.
    pub(crate) fn subscribe(&self, order_id: OrderId) -> Result<Watch, TooManyWatches> {
        let mut senders = self.senders();
        if senders.values().map(Sender::receiver_count).sum::<usize>() >= LIMIT {
            return Err(TooManyWatches);
        }
        let receiver = senders.entry(order_id).or_default().subscribe();
        Ok(Watch { watches: self.clone(), order_id, receiver })
    }

    /// Wakes those who wait for an order.
    pub(crate) fn wake(&self, order_id: OrderId) {
        if let Some(sender) = self.senders().get(&order_id) {
            sender.send_replace(());
        }
    }

    fn senders(&self) -> MutexGuard<'_, HashMap<OrderId, Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for an order, until dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    watches: Watches,
    order_id: OrderId,
    receiver: Receiver<()>,
}

impl Watch {
    /// Waits until the order may have moved since the last call, or since the beginning.
    pub(crate) async fn woken(&mut self) {
        // It fails only without a sender, which stays while there is a receiver.
        let _ = self.receiver.changed().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut senders = self.watches.senders();
        if senders.get(&self.order_id).is_some_and(|sender| sender.receiver_count() <= 1) {
            senders.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_missed() {
        let watches = Watches::default();
        let order_id = OrderId::new();
        let mut watch = watches.subscribe(order_id).unwrap();
        watches.wake(OrderId::new());
        assert!(timeout(Duration::from_millis(5), watch.woken()).await.is_err());
        watches.wake(order_id);
        timeout(Duration::from_secs(5), watch.woken()).await.unwrap();
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let watches = Watches::default();
        let order_id = OrderId::new();
        let (first, second) =
            (watches.subscribe(order_id).unwrap(), watches.subscribe(order_id).unwrap());
        drop(first);
        assert_eq!(watches.senders().len(), 1);
        drop(second);
        assert_eq!(watches.senders().len(), 0);
    }

    #[test]
    fn there_is_a_bound() {
        let watches = Watches::default();
        let all: Vec<_> = (0..LIMIT).map(|_| watches.subscribe(OrderId::new()).unwrap()).collect();
        assert!(watches.subscribe(OrderId::new()).is_err());
        drop(all);
        assert!(watches.subscribe(OrderId::new()).is_ok());
    }
}
