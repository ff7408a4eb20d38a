//! Ways to break what the relay and the consumers promise.

use proto::store::orders::events::v1::{OrderCancelled, OrderCreated, OrderEvent};
use time::OffsetDateTime;

use super::{
    super::{
        Invariant,
        fixture::{PRODUCT, Store, id},
        good::{COMPLETED, PAID, SHORT, UNPAYABLE},
    },
    Case, letter,
};
use crate::audit::{Handled, OrderState, Owner};

pub(super) const RELAY: [Case; 17] = [
    (Invariant(1), "is committed and not on Kafka", |store| {
        // A person's stock: the last of its key, and no consumer's business.
        store
            .snapshot
            .records
            .retain(|record| record.offset != 1 || record.key != PRODUCT.to_string());
        let set = store.snapshot.outbox[1].event_id;
        store.snapshot.inbox.retain(|handled| handled.event_id != set);
    }),
    (Invariant(2), "has no committed row", |store| {
        // The last of its key, so that it is in nobody's way.
        store.snapshot.records.last_mut().unwrap().key = "another".to_owned();
    }),
    (Invariant(2), "has no committed row", |store| {
        store.announce(None, OrderEvent::from(OrderCreated::default()));
        store.snapshot.outbox.pop();
    }),
    (Invariant(2), "has another value than its row", |store| {
        store.snapshot.records[0].payload.push(0);
    }),
    (Invariant(2), "has another ce_type than its row", |store| {
        says(store, "ce_type", Some("store.Nothing"));
    }),
    (Invariant(2), "has another ce_type than its row", |store| says(store, "ce_type", None)),
    (Invariant(2), "has another ce_source than its row", |store| {
        says(store, "ce_source", Some("nobody"));
    }),
    (Invariant(2), "has another ce_subject than its row", |store| says(store, "ce_subject", None)),
    (Invariant(2), "has another ce_time than its row", |store| {
        says(store, "ce_time", Some("1970-01-01T00:00:00Z"));
    }),
    (Invariant(2), "has another ce_correlationid than its row", |store| {
        says(store, "ce_correlationid", None);
    }),
    (Invariant(2), "has another ce_causationid than its row", |store| {
        says(store, "ce_causationid", Some("00000000-0000-0000-0000-000000000005"));
    }),
    (Invariant(2), "has another trace than its row", |store| {
        says(store, "traceparent", Some("00-00000000000000000000000000000007-0000000000000002-01"));
    }),
    (Invariant(3), "stands in partition 1, and others of its key in 0", |store| {
        store.snapshot.records.last_mut().unwrap().partition = 1;
    }),
    (Invariant(3), "stands before event", |store| store.snapshot.records.swap(0, 1)),
    (Invariant(3), "stands on Kafka 2 times", |store| {
        let row = store.snapshot.outbox[0].clone();
        store.publish(&row);
    }),
    (
        Invariant(8),
        "is parked at offset 0 of payments.store.orders.events.v1.dlq: it is not understood",
        |store| {
            let letter = letter(&store.snapshot.records[2]);
            store.snapshot.dead_letters.push(letter);
        },
    ),
    (Invariant(8), "event without an id", |store| {
        let mut letter = letter(&store.snapshot.records[2]);
        letter.headers.retain(|(name, _)| name != "ce_id");
        store.snapshot.dead_letters.push(letter);
    }),
];

/// Changes a header of the first record, or leaves it out.
fn says(store: &mut Store, name: &str, value: Option<&str>) {
    let headers = &mut store.snapshot.records[0].headers;
    headers.retain(|(header, _)| header != name);
    headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
}

pub(super) const EFFECTS: [Case; 13] = [
    (Invariant(4), "payments has neither handled nor parked event", |store| {
        store.snapshot.inbox.retain(|handled| handled.by != Owner::Payments);
    }),
    (Invariant(4), "which is on no topic that it reads", |store| {
        store.snapshot.inbox.push(Handled {
            by: Owner::Payments,
            event_id: id(5),
            handled_at: OffsetDateTime::UNIX_EPOCH,
        });
    }),
    (Invariant(4), "has handled event 00000000-0000-0000-0000-0000000f4240 2 times", |store| {
        store.snapshot.inbox.push(store.snapshot.inbox[0]);
    }),
    (Invariant(4), "has its cancellation more than once", |store| {
        let event = OrderCancelled { order_id: id(SHORT).to_string(), failure: None };
        store.announce(None, OrderEvent::from(event));
    }),
    (Invariant(4), "has had its effect more than once: SagaCompleted", |store| {
        let cause = store.snapshot.outbox[0].event_id;
        for order in [SHORT, UNPAYABLE] {
            store.rewrite(store.row_of(order, "SagaCompleted"), |row| row.cause = Some(cause));
        }
    }),
    (Invariant(4), "went from COMPLETED to COMPLETED", |store| {
        store.reach(PAID, OrderState::Completed);
    }),
    (Invariant(4), "went from CANCELLED to CANCELLING", |store| {
        store.reach(SHORT, OrderState::Cancelling);
        store.reach(SHORT, OrderState::Cancelled);
    }),
    (Invariant(4), "is COMPLETED, and its states end with CANCELLED", |store| {
        store.order(SHORT).state = OrderState::Completed;
        // What callers were told of it does not hold either.
        store.history.invocations.clear();
    }),
    (Invariant(4), "has taken other quantities than were ordered", |store| {
        let line = store.snapshot.lines.iter_mut().find(|line| line.order_id == id(UNPAYABLE));
        // Of the same price in all.
        let line = line.unwrap();
        (line.quantity, line.unit_price_minor) = (1, line.unit_price_minor * 3);
        store.history.invocations.clear();
    }),
    (Invariant(4), "payments has no payment for it", |store| {
        store.snapshot.payments.retain(|payment| payment.order_id != id(UNPAYABLE));
    }),
    (Invariant(4), "does not have the payment that was created for it", |store| {
        store.order(COMPLETED).payment_id = None;
    }),
    (Invariant(4), "is paid, which is not what was announced", |store| {
        store.order(COMPLETED).is_paid = true;
        store.history.invocations.clear();
    }),
    (Invariant(4), "does not hold its stock, which is not what was announced", |store| {
        // As if it had been given back without a word.
        store.order(PAID).stock_taken = false;
        store.snapshot.stock[0].quantity += 1;
    }),
];
