//! Ways to break what the relay and the consumers promise.

use proto::store::orders::events::v1::{OrderCancelled, OrderCreated, OrderEvent};
use time::OffsetDateTime;

use super::{
    super::{
        Invariant::{I1, I2, I3, I4, I8},
        fixture::{PRODUCT, id},
        good::{CANCELLED, COMPLETED, PAID, SHORT, UNPAYABLE},
    },
    Case, letter,
};
use crate::audit::{Handled, OrderState, Owner, Row};

pub(super) const RELAY: [Case; 9] = [
    (I1, "is committed and not on Kafka", |store| {
        // A person's stock: the last of its key, and no consumer's business.
        store
            .snapshot
            .records
            .retain(|record| record.offset != 1 || record.key != PRODUCT.to_string());
        let set = store.snapshot.outbox[1].event_id;
        store.snapshot.inbox.retain(|handled| handled.event_id != set);
    }),
    (I2, "has no committed row", |store| {
        // The last of its key, so that it is in nobody's way.
        store.snapshot.records.last_mut().unwrap().key = "another".to_owned();
    }),
    (I2, "has no committed row", |store| {
        store.announce(None, OrderEvent::from(OrderCreated::default()));
        store.snapshot.outbox.pop();
    }),
    (I2, "has other bytes than its row", |store| store.snapshot.records[0].payload.push(0)),
    (I2, "has another type than its row", |store| {
        store.snapshot.records[0].headers[1].1 = "store.Nothing".to_owned();
    }),
    (I3, "stands before event", |store| store.snapshot.records.swap(0, 1)),
    (I3, "stands on Kafka 2 times", |store| {
        let row = store.snapshot.outbox[0].clone();
        store.publish(&row);
    }),
    (
        I8,
        "is parked at offset 0 of payments.store.orders.events.v1.dlq: it is not understood",
        |store| {
            let letter = letter(&store.snapshot.records[2]);
            store.snapshot.dead_letters.push(letter);
        },
    ),
    (I8, "event without an id", |store| {
        let mut letter = letter(&store.snapshot.records[2]);
        letter.headers.retain(|(name, _)| name != "ce_id");
        store.snapshot.dead_letters.push(letter);
    }),
];

pub(super) const EFFECTS: [Case; 13] = [
    (I4, "payments has neither handled nor parked event", |store| {
        store.snapshot.inbox.retain(|handled| handled.by != Owner::Payments);
    }),
    (I4, "which is on no topic that it reads", |store| {
        store.snapshot.inbox.push(Handled {
            by: Owner::Payments,
            event_id: id(5),
            handled_at: OffsetDateTime::UNIX_EPOCH,
        });
    }),
    (I4, "has handled event 00000000-0000-0000-0000-0000000f4240 2 times", |store| {
        store.snapshot.inbox.push(store.snapshot.inbox[0]);
    }),
    (I4, "has its cancellation more than once", |store| {
        let event = OrderCancelled { order_id: id(SHORT).to_string(), failure: None };
        store.announce(None, OrderEvent::from(event));
    }),
    (I4, "has had its effect more than once: SagaCompleted", |store| {
        let cause = store.snapshot.outbox[0].event_id;
        for order in [SHORT, UNPAYABLE] {
            let ends = |row: &&mut Row| {
                row.key == id(order).to_string() && row.event_name() == "SagaCompleted"
            };
            store.snapshot.outbox.iter_mut().find(ends).unwrap().cause = Some(cause);
        }
    }),
    (I4, "went from COMPLETED to COMPLETED", |store| store.reach(PAID, OrderState::Completed)),
    (I4, "went from CANCELLED to CANCELLING", |store| {
        store.reach(SHORT, OrderState::Cancelling);
        store.reach(SHORT, OrderState::Cancelled);
    }),
    (I4, "is COMPLETED, and its states end with CANCELLED", |store| {
        store.order(CANCELLED).state = OrderState::Completed;
        // What callers were told of it does not hold either.
        store.history.invocations.clear();
    }),
    (I4, "has taken other quantities than were ordered", |store| {
        let line = store.snapshot.lines.iter_mut().find(|line| line.order_id == id(UNPAYABLE));
        line.unwrap().quantity += 1;
        store.history.invocations.clear();
    }),
    (I4, "payments has no payment for it", |store| {
        store.snapshot.payments.retain(|payment| payment.order_id != id(UNPAYABLE));
    }),
    (I4, "does not have the payment that was created for it", |store| {
        store.order(COMPLETED).payment_id = None;
    }),
    (I4, "is paid, which is not what was announced", |store| {
        store.order(COMPLETED).is_paid = true;
        store.history.invocations.clear();
    }),
    (I4, "does not hold its stock, which is not what was announced", |store| {
        // As if it had been given back without a word.
        store.order(PAID).stock_taken = false;
        store.snapshot.stock[0].quantity += 1;
    }),
];
