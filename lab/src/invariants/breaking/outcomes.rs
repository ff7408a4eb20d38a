//! Ways to break how orders end, what is on hand, and what is paid.

use prost::Message as _;
use proto::store::{
    orders::events::v1::{OrderCancelled, OrderEvent, saga_completed::Outcome},
    payments::events::v1::{PaymentCreationFailed, PaymentEvent},
    stock::events::v1::{
        StockEvent, StockIncreaseFailed, StockIncreased, StockLine, stock_event::Event,
    },
};

use super::{
    super::{
        Invariant,
        fixture::{PRODUCT, Store, id, payment_of},
        good::{COMPLETED, PAID, REFUSED, SHORT, UNPAYABLE, UNTOLD, create, order, told},
    },
    Case,
};
use crate::{
    audit::{LedgerEntry, LedgerKind, OrderState, Payment, PaymentState, Row},
    history::{Answer, Command},
};

pub(super) const ENDS: [Case; 11] = [
    (Invariant(5), "has not ended: it is CANCELLING", |store| {
        store.fail(COMPLETED, OrderState::Cancelling, "CANCELLED_BY_CALLER");
        store.call(Command::CancelOrder { order_id: id(COMPLETED) }, Answer::Unknown);
    }),
    (Invariant(5), "has no SagaCompleted", |store| {
        let is_end =
            |key: &str, name: &str| key == id(SHORT).to_string() && name == "SagaCompleted";
        let ends = |row: &Row| is_end(&row.key, row.event_name());
        let end = store.snapshot.outbox.iter().find(|row| ends(row)).unwrap().event_id;
        store.snapshot.outbox.retain(|row| row.event_id != end);
        store.snapshot.records.retain(|record| record.event_id() != Some(end));
        store.snapshot.inbox.retain(|handled| handled.event_id != end);
    }),
    (Invariant(5), "has 2 SagaCompleted, not one", |store| {
        store.end(PAID, None, Outcome::Succeeded);
    }),
    (Invariant(5), "has 2 SagaCompleted, not one", |store| {
        store.end(REFUSED, None, Outcome::Failed);
    }),
    (Invariant(5), "has a SagaCompleted, and neither exists nor was refused", |store| {
        store.end(999, None, Outcome::Failed);
    }),
    (Invariant(5), "says succeeded, not failed", |store| {
        store.place(UNTOLD + 1, 1);
        store.fail(UNTOLD + 1, OrderState::Cancelled, "CANCELLED_BY_CALLER");
        let event = OrderCancelled { order_id: id(UNTOLD + 1).to_string(), failure: None };
        store.announce(None, OrderEvent::from(event));
        store.call(Command::CancelOrder { order_id: id(UNTOLD + 1) }, Answer::Unknown);
        store.end(UNTOLD + 1, None, Outcome::Succeeded);
        let number = UNTOLD + 1;
        told(store, number, create(number, 1), &order(number), Answer::Unknown);
    }),
    (Invariant(5), "is CANCELLED for nothing, of which nothing was announced", |store| {
        store.order(SHORT).failure_reason = None;
    }),
    (Invariant(5), "is CANCELLED for PAYMENT_REFUSED, of which nothing was announced", |store| {
        store.order(SHORT).failure_reason = Some("PAYMENT_REFUSED".to_owned());
    }),
    (
        Invariant(5),
        "is CANCELLED for CANCELLED_BY_CALLER, of which nothing was announced",
        |store| {
            let created = store.snapshot.outbox[store.row_of(UNTOLD, "OrderCreated")].event_id;
            store.rewrite(store.row_of(UNTOLD, "OrderCancelled"), |row| row.cause = Some(created));
        },
    ),
    (Invariant(5), "needs attention, and the stock of all its products is there", |store| {
        needs_attention(store);
        cannot_give_back(store);
    }),
    (
        Invariant(5),
        "is NEEDS_ATTENTION for STOCK_INCREASE_FAILED, of which nothing was announced",
        |store| {
            needs_attention(store);
        },
    ),
];

/// An order whose stock is said not to go back.
const NEEDY: u32 = UNTOLD + 1;

/// It has ended so, by what its row says, though nobody has said why.
pub(super) fn needs_attention(store: &mut Store) {
    let created = store.place(NEEDY, 1);
    let taken = store.take_stock(NEEDY, created);
    store.pay_for(NEEDY, PaymentState::Refused);
    store.note(NEEDY, LedgerKind::Declined);
    let event = PaymentCreationFailed {
        order_id: id(NEEDY).to_string(),
        payment_id: payment_of(NEEDY).to_string(),
        reason: "too much".to_owned(),
    };
    let refused = store.announce(Some(taken), PaymentEvent::from(event));
    store.fail(NEEDY, OrderState::NeedsAttention, "STOCK_INCREASE_FAILED");
    store.end(NEEDY, Some(refused), Outcome::Failed);
    told(store, NEEDY, create(NEEDY, 1), &order(NEEDY), Answer::Unknown);
}

/// It is said why.
pub(super) fn cannot_give_back(store: &mut Store) {
    let product_ids = vec![PRODUCT.to_string()];
    let event = StockIncreaseFailed { order_id: id(NEEDY).to_string(), product_ids };
    store.announce(None, StockEvent::from(event));
}

pub(super) const STOCK: [Case; 7] = [
    (
        Invariant(6),
        "has 11 on hand and 3 held by orders, which is not the 0 at the start and 15 added",
        |store| {
            store.snapshot.stock[0].quantity -= 1;
        },
    ),
    (Invariant(6), "has -1 on hand", |store| store.snapshot.stock[0].quantity = -1),
    (Invariant(6), "has no stock any more, and was not removed", |store| {
        store.snapshot.stock.clear();
    }),
    (Invariant(6), "was announced, and the one before was not", |store| {
        rewrite(store, UNPAYABLE, "StockDecreased", |line| line.stock_version += 100);
    }),
    (Invariant(6), "does not follow from the one before", |store| {
        rewrite(store, UNPAYABLE, "StockIncreased", |line| line.quantity_after += 1);
    }),
    (Invariant(6), "was announced twice", |store| {
        rewrite(store, UNPAYABLE, "StockIncreased", |line| line.stock_version -= 1);
    }),
    (Invariant(6), "and 8 times that was announced", |store| store.snapshot.stock[0].version += 1),
];

pub(super) const PAYMENTS: [Case; 16] = [
    (Invariant(7), "costs 1000, and its lines cost 1002", |store| {
        let line = store.snapshot.lines.iter_mut().find(|line| line.order_id == id(COMPLETED));
        line.unwrap().unit_price_minor += 1;
    }),
    (Invariant(7), "is COMPLETED, and its payment", |store| {
        store.payment(COMPLETED).state = PaymentState::Cancelled;
        store.note(COMPLETED, LedgerKind::Voided);
    }),
    (Invariant(7), "is, of which nothing was announced", |store| {
        store.payment(COMPLETED).state = PaymentState::Paid;
        store.note(COMPLETED, LedgerKind::Captured);
    }),
    (Invariant(7), "is CANCELLED, and its payment", |store| {
        store.payment(UNPAYABLE).state = PaymentState::Requested;
    }),
    (Invariant(7), "is of user", |store| store.payment(PAID).user_id = id(2)),
    (Invariant(7), "costs 1000 CAD, and its payment", |store| {
        store.payment(COMPLETED).amount_minor += 1;
        let entry = store.snapshot.ledger.iter_mut().find(|entry| entry.order_id == id(COMPLETED));
        entry.unwrap().amount_minor += 1;
    }),
    (Invariant(7), "does not exist and has payment", |store| {
        let payment = Payment { order_id: id(998), ..store.payment(UNPAYABLE).clone() };
        store.snapshot.payments.push(Payment { payment_id: id(997), ..payment });
    }),
    (Invariant(7), "has 2 live payments", |store| {
        let state = PaymentState::Requested;
        let payment = Payment { payment_id: id(997), state, ..store.payment(COMPLETED).clone() };
        store.snapshot.payments.push(payment);
    }),
    (Invariant(7), "of which the provider's ledger has another amount", |store| {
        let entry = store.snapshot.ledger.iter_mut().find(|entry| entry.order_id == id(COMPLETED));
        entry.unwrap().amount_minor += 1;
    }),
    (Invariant(7), "was charged 2 times", |store| store.note(PAID, LedgerKind::Captured)),
    (Invariant(7), "which is pending", |store| store.note(COMPLETED, LedgerKind::Captured)),
    (Invariant(7), "which the provider has charged and set free", |store| {
        store.note(PAID, LedgerKind::Voided);
    }),
    (Invariant(7), "which the provider has not charged", |store| {
        store.snapshot.ledger.retain(|entry| entry.kind != LedgerKind::Captured);
    }),
    (Invariant(7), "and the provider holds its amount", |store| {
        store.snapshot.ledger.retain(|entry| entry.kind != LedgerKind::Voided);
    }),
    (Invariant(7), "which does not exist", |store| {
        store.note(COMPLETED, LedgerKind::Captured);
        store.snapshot.ledger.last_mut().unwrap().payment_id = id(997);
    }),
    (Invariant(7), "and the provider does not hold its amount", |store| {
        let is_held = |entry: &LedgerEntry| entry.kind == LedgerKind::Authorised;
        store.snapshot.ledger.retain(|entry| entry.order_id != id(COMPLETED) || !is_held(entry));
    }),
];

/// Changes the line of an order's StockIncreased or StockDecreased, in its row and in its record.
fn rewrite(store: &mut Store, order: u32, name: &str, change: impl Fn(&mut StockLine)) {
    store.rewrite(store.row_of(order, name), |row| {
        let mut event = StockEvent::decode(row.payload.as_slice()).unwrap();
        match event.event.as_mut().unwrap() {
            Event::StockIncreased(StockIncreased { lines, .. }) => change(&mut lines[0]),
            Event::StockDecreased(event) => change(&mut event.lines[0]),
            Event::StockDecreaseFailed(_) | Event::StockIncreaseFailed(_) | Event::StockSet(_) => {
                panic!("the event has no lines")
            }
        }
        row.payload = event.encode_to_vec();
    });
}
