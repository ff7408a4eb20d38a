//! Ways to break how orders end, what is on hand, and what is paid.

use prost::Message as _;
use proto::store::{
    orders::events::v1::saga_completed::Outcome,
    stock::events::v1::{StockEvent, StockIncreased, StockLine, stock_event::Event},
};

use super::{
    super::{
        Invariant::{I5, I6, I7},
        fixture::{Store, id},
        good::{COMPLETED, PAID, REFUSED, SHORT, UNPAYABLE, UNTOLD, create, order, told},
    },
    Case,
};
use crate::{
    audit::{LedgerEntry, LedgerKind, OrderState, Payment, PaymentState, Row},
    history::{Answer, Command},
};

pub(super) const ENDS: [Case; 6] = [
    (I5, "has not ended: it is CANCELLING", |store| {
        store.fail(COMPLETED, OrderState::Cancelling, "CANCELLED_BY_CALLER");
        store.call(Command::CancelOrder { order_id: id(COMPLETED) }, Answer::Unknown);
    }),
    (I5, "has no SagaCompleted", |store| {
        let is_end =
            |key: &str, name: &str| key == id(SHORT).to_string() && name == "SagaCompleted";
        let ends = |row: &Row| is_end(&row.key, row.event_name());
        let end = store.snapshot.outbox.iter().find(|row| ends(row)).unwrap().event_id;
        store.snapshot.outbox.retain(|row| row.event_id != end);
        store.snapshot.records.retain(|record| record.event_id() != Some(end));
        store.snapshot.inbox.retain(|handled| handled.event_id != end);
    }),
    (I5, "has 2 SagaCompleted, not one", |store| {
        store.end(PAID, None, Outcome::Succeeded);
    }),
    (I5, "has 2 SagaCompleted, not one", |store| {
        store.end(REFUSED, None, Outcome::Failed);
    }),
    (I5, "has a SagaCompleted, and neither exists nor was refused", |store| {
        store.end(999, None, Outcome::Failed);
    }),
    (I5, "says succeeded, not failed", |store| {
        store.place(UNTOLD + 1, 1);
        store.reach(UNTOLD + 1, OrderState::Cancelled);
        store.end(UNTOLD + 1, None, Outcome::Succeeded);
        let number = UNTOLD + 1;
        told(store, number, create(number, 1), &order(number), Answer::Unknown);
    }),
];

pub(super) const STOCK: [Case; 7] = [
    (
        I6,
        "has 11 on hand and 3 held by orders, which is not the 0 at the start and 15 added",
        |store| {
            store.snapshot.stock[0].quantity -= 1;
        },
    ),
    (I6, "has -1 on hand", |store| store.snapshot.stock[0].quantity = -1),
    (I6, "has no stock any more, and was not removed", |store| store.snapshot.stock.clear()),
    (I6, "was announced, and the one before was not", |store| {
        let row = change(store, UNPAYABLE, "StockDecreased");
        let shift = |line: &mut StockLine| line.stock_version += 100;
        rewrite(store, row, shift);
    }),
    (I6, "does not follow from the one before", |store| {
        let row = change(store, UNPAYABLE, "StockIncreased");
        rewrite(store, row, |line| line.quantity_after += 1);
    }),
    (I6, "was announced twice", |store| {
        let row = change(store, UNPAYABLE, "StockIncreased");
        rewrite(store, row, |line| line.stock_version -= 1);
    }),
    (I6, "and 8 times that was announced", |store| store.snapshot.stock[0].version += 1),
];

pub(super) const PAYMENTS: [Case; 12] = [
    (I7, "is CANCELLED, and its payment", |store| {
        store.payment(UNPAYABLE).state = PaymentState::Requested;
    }),
    (I7, "costs 1000 CAD, and its payment", |store| {
        store.payment(COMPLETED).amount_minor += 1;
        let entry = store.snapshot.ledger.iter_mut().find(|entry| entry.order_id == id(COMPLETED));
        entry.unwrap().amount_minor += 1;
    }),
    (I7, "does not exist and has payment", |store| {
        let payment = Payment { order_id: id(998), ..store.payment(UNPAYABLE).clone() };
        store.snapshot.payments.push(Payment { payment_id: id(997), ..payment });
    }),
    (I7, "has 2 live payments", |store| {
        let state = PaymentState::Requested;
        let payment = Payment { payment_id: id(997), state, ..store.payment(COMPLETED).clone() };
        store.snapshot.payments.push(payment);
    }),
    (I7, "of which the provider's ledger has another amount", |store| {
        let entry = store.snapshot.ledger.iter_mut().find(|entry| entry.order_id == id(COMPLETED));
        entry.unwrap().amount_minor += 1;
    }),
    (I7, "was charged 2 times", |store| store.note(PAID, LedgerKind::Captured)),
    (I7, "which is pending", |store| store.note(COMPLETED, LedgerKind::Captured)),
    (I7, "which the provider has charged and set free", |store| {
        store.note(PAID, LedgerKind::Voided);
    }),
    (I7, "which the provider has not charged", |store| {
        store.snapshot.ledger.retain(|entry| entry.kind != LedgerKind::Captured);
    }),
    (I7, "and the provider holds its amount", |store| {
        store.snapshot.ledger.retain(|entry| entry.kind != LedgerKind::Voided);
    }),
    (I7, "which does not exist", |store| {
        store.note(COMPLETED, LedgerKind::Captured);
        store.snapshot.ledger.last_mut().unwrap().payment_id = id(997);
    }),
    (I7, "and the provider does not hold its amount", |store| {
        let is_held = |entry: &LedgerEntry| entry.kind == LedgerKind::Authorised;
        store.snapshot.ledger.retain(|entry| entry.order_id != id(COMPLETED) || !is_held(entry));
    }),
];

/// Where in the outbox an order's event stands.
fn change(store: &Store, order: u32, name: &str) -> usize {
    let key = id(order).to_string();
    let rows = &store.snapshot.outbox;
    rows.iter().position(|row| row.key == key && row.event_name() == name).unwrap()
}

/// Changes the line of a StockIncreased or StockDecreased, in its row and in its record.
fn rewrite(store: &mut Store, row: usize, change: impl Fn(&mut StockLine)) {
    let row = &mut store.snapshot.outbox[row];
    let mut event = StockEvent::decode(row.payload.as_slice()).unwrap();
    match event.event.as_mut().unwrap() {
        Event::StockIncreased(StockIncreased { lines, .. }) => change(&mut lines[0]),
        Event::StockDecreased(event) => change(&mut event.lines[0]),
        Event::StockDecreaseFailed(_) | Event::StockIncreaseFailed(_) | Event::StockSet(_) => {
            panic!("the event has no lines")
        }
    }
    row.payload = event.encode_to_vec();
    let records = &mut store.snapshot.records;
    let record = records.iter_mut().find(|record| record.event_id() == Some(row.event_id));
    record.unwrap().payload.clone_from(&row.payload);
}
