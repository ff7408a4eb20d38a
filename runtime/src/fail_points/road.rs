//! Every place on the road of an order at which a process can be made to fail on purpose, in the order of the road.
//!
//! At each of them `abort`, `exit`, `pause` and `delay` do what their names say, and `error` is what can go wrong there and be
//! over the next time: the database or Kafka fails. A name is a promise to whoever arms it: it is not changed.

/// The places before and after the commit of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// All is written; nothing is committed.
    pub committing: &'static str,
    /// It is committed; nobody knows that yet, not even the caller.
    pub committed: &'static str,
}

// 1. A caller orders: the order's row and OrderCreated in one transaction.

/// The commit of `CreateOrder`.
pub const CREATE_ORDER: Commit =
    Commit { committing: "create_order.committing", committed: "create_order.committed" };
/// The commit of what a `CreateOrder` announces that is refused: its user or a product is not known.
pub const REFUSE_ORDER: Commit =
    Commit { committing: "refuse_order.committing", committed: "refuse_order.committed" };

// 2. The relay carries what was committed to Kafka.

/// The lock is held; the progress has not been read.
pub const RELAY_LEADING: &str = "relay.leading";
/// A page has been read, nothing of it sent.
pub const RELAY_READ: &str = "relay.read";
/// Some record of a page has been handed to the producer, others not.
pub const RELAY_PRODUCING: &str = "relay.producing";
/// A whole page has been handed over.
pub const RELAY_PRODUCED: &str = "relay.produced";
/// Kafka has acknowledged records; the progress does not tell yet.
pub const RELAY_ACKNOWLEDGED: &str = "relay.acknowledged";
/// The progress has been sent.
pub const RELAY_PROGRESS: &str = "relay.progress";
/// The transaction holds records and progress, and is about to be committed.
pub const RELAY_COMMITTING: &str = "relay.committing";
/// The transaction is committed; nothing has been read since.
pub const RELAY_COMMITTED: &str = "relay.committed";
/// An operator's command is done, and not answered yet.
pub const RELAY_ANSWERING: &str = "relay.answering";

// 3. A consumer handles it, once.

/// Records have been read from Kafka; no transaction has begun.
pub const CONSUMER_RECEIVED: &str = "consumer.received";
/// A record is in the inbox; its handler has not run.
pub const CONSUMER_REMEMBERED: &str = "consumer.remembered";
/// An order's lines have been taken out of the stock; the order's row and the event are not written.
pub const TAKE_STOCK_TAKEN: &str = "take_stock.taken";
/// A line of an order is short, so none was taken; the order's row and the event are not written.
pub const TAKE_STOCK_SHORT: &str = "take_stock.short";
/// An order's lines are back in the stock; the order's row and the event are not written.
pub const GIVE_STOCK_BACK_GIVEN: &str = "give_stock_back.given";
/// A product is gone, so nothing can be given back; the order's row and the events are not written.
pub const GIVE_STOCK_BACK_GONE: &str = "give_stock_back.gone";
/// The handlers have run; nothing is committed.
pub const CONSUMER_HANDLED: &str = "consumer.handled";
/// The transaction is committed; the offsets have not moved.
pub const CONSUMER_COMMITTED: &str = "consumer.committed";
/// The transaction that rejects a record is committed; the record is not among the dead letters.
pub const CONSUMER_PARKING: &str = "consumer.parking";
/// A record that nobody can handle is among the dead letters; its offset has not moved.
pub const CONSUMER_PARKED: &str = "consumer.parked";
/// The offsets have been sent to Kafka.
pub const CONSUMER_MOVED: &str = "consumer.moved";

// 4. Payments' worker brings the provider to agree.

/// The provider is about to be called.
pub const WORKER_CALLING: &str = "worker.calling";
/// The provider has answered; nothing of that is written.
pub const WORKER_CALLED: &str = "worker.called";
/// The commit of the provider's answer.
pub const WORKER: Commit =
    Commit { committing: "worker.committing", committed: "worker.committed" };

// 5. The caller pays or thinks better of it; the store is restocked.

/// The commit of `ProcessPayment`.
pub const PROCESS_PAYMENT: Commit =
    Commit { committing: "process_payment.committing", committed: "process_payment.committed" };
/// The commit of `CancelOrder`.
pub const CANCEL_ORDER: Commit =
    Commit { committing: "cancel_order.committing", committed: "cancel_order.committed" };
/// The commit of `SetStock`.
pub const SET_STOCK: Commit =
    Commit { committing: "set_stock.committing", committed: "set_stock.committed" };
/// The commit of `AdjustStock`.
pub const ADJUST_STOCK: Commit =
    Commit { committing: "adjust_stock.committing", committed: "adjust_stock.committed" };

// 6. Products and users come and go.

/// The commit of `CreateProduct`.
pub const CREATE_PRODUCT: Commit =
    Commit { committing: "create_product.committing", committed: "create_product.committed" };
/// The commit of `DeleteProduct`.
pub const DELETE_PRODUCT: Commit =
    Commit { committing: "delete_product.committing", committed: "delete_product.committed" };
/// The commit of `CreateUser`.
pub const CREATE_USER: Commit =
    Commit { committing: "create_user.committing", committed: "create_user.committed" };
/// The commit of `DeleteUser`.
pub const DELETE_USER: Commit =
    Commit { committing: "delete_user.committing", committed: "delete_user.committed" };

// 7. The operator puts right what went wrong on the way.

/// Dead letters are sent and marked as redriven; what was sent since the last commit is not committed.
pub const REDRIVE_SENT: &str = "redrive.sent";
/// What is missing on Kafka is sent; the progress is not written.
pub const REPAIR_SENT: &str = "repair.sent";
/// The progress is written; the table is not marked as published.
pub const REPAIR_WRITTEN: &str = "repair.written";

// Who comes by where.

/// Those that store-manager passes.
pub const STORE_MANAGER: [&str; 29] = [
    CREATE_ORDER.committing,
    CREATE_ORDER.committed,
    REFUSE_ORDER.committing,
    REFUSE_ORDER.committed,
    CONSUMER_RECEIVED,
    CONSUMER_REMEMBERED,
    TAKE_STOCK_TAKEN,
    TAKE_STOCK_SHORT,
    GIVE_STOCK_BACK_GIVEN,
    GIVE_STOCK_BACK_GONE,
    CONSUMER_HANDLED,
    CONSUMER_COMMITTED,
    CONSUMER_PARKING,
    CONSUMER_PARKED,
    CONSUMER_MOVED,
    CANCEL_ORDER.committing,
    CANCEL_ORDER.committed,
    SET_STOCK.committing,
    SET_STOCK.committed,
    ADJUST_STOCK.committing,
    ADJUST_STOCK.committed,
    CREATE_PRODUCT.committing,
    CREATE_PRODUCT.committed,
    DELETE_PRODUCT.committing,
    DELETE_PRODUCT.committed,
    CREATE_USER.committing,
    CREATE_USER.committed,
    DELETE_USER.committing,
    DELETE_USER.committed,
];

/// Those that the relay passes.
pub const RELAY: [&str; 9] = [
    RELAY_LEADING,
    RELAY_READ,
    RELAY_PRODUCING,
    RELAY_PRODUCED,
    RELAY_ACKNOWLEDGED,
    RELAY_PROGRESS,
    RELAY_COMMITTING,
    RELAY_COMMITTED,
    RELAY_ANSWERING,
];

/// Those that payments passes.
pub const PAYMENTS: [&str; 13] = [
    CONSUMER_RECEIVED,
    CONSUMER_REMEMBERED,
    CONSUMER_HANDLED,
    CONSUMER_COMMITTED,
    CONSUMER_PARKING,
    CONSUMER_PARKED,
    CONSUMER_MOVED,
    WORKER_CALLING,
    WORKER_CALLED,
    WORKER.committing,
    WORKER.committed,
    PROCESS_PAYMENT.committing,
    PROCESS_PAYMENT.committed,
];

/// That which the operator's `dead-letters redrive` passes.
pub const REDRIVE: [&str; 1] = [REDRIVE_SENT];

/// Those that the operator's `audit --repair` passes.
pub const REPAIR: [&str; 2] = [REPAIR_SENT, REPAIR_WRITTEN];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_passes_each_place_under_one_name() {
        for names in [&STORE_MANAGER[..], &RELAY, &PAYMENTS, &REDRIVE, &REPAIR] {
            for (index, name) in names.iter().enumerate() {
                assert!(!names[..index].contains(name), "{name} twice");
                let (step, place) = name.split_once('.').unwrap();
                assert!(!step.is_empty() && !place.is_empty(), "{name} is no STEP.PLACE");
            }
        }
    }
}
