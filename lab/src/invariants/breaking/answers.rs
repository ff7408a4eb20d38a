//! Ways to break what callers were told.

use proto::store::{
    orders::events::v1::{OrderCancelled, OrderEvent},
    payments::events::v1::{PaymentEvent, PaymentProcessed},
};
use time::Duration;

use super::{
    super::{
        Invariant,
        fixture::{Store, id, payment_of},
        good::{
            ADJUST, CANCELLED, COMPLETED, PAID, REFUSED, SET, SHORT, UNTOLD, adjust, create, order,
            pay, refusal,
        },
    },
    Case,
};
use crate::{
    audit::{LedgerKind, Order, OrderLine, OrderState, PaymentState},
    history::{Answer, Command, Invocation, Reply},
};

pub(super) const ANSWERS: [Case; 27] = [
    (Invariant(9), "was acknowledged and does not exist", |store| {
        store.call(create(50, 1), Answer::Ok(order(950)));
    }),
    (Invariant(9), "is the answer to request", |store| {
        store.snapshot.answers.insert(id(50), order(950));
        store.call(create(50, 1), Answer::Unknown);
    }),
    (Invariant(9), "was acknowledged to requests", |store| {
        store.call(create(50, 1), Answer::Ok(order(PAID)));
    }),
    (Invariant(9), "is of user", |store| {
        store.order(PAID).user_id = id(2);
        store.payment(PAID).user_id = id(2);
    }),
    (Invariant(9), "has other lines than were asked for", |store| {
        store.history.invocations.retain(|call| call.command != create(PAID, 1));
        store.call(create(PAID, 2), Answer::Ok(order(PAID)));
    }),
    (Invariant(9), "was answered", |store| {
        store.call(create(PAID, 1), Answer::Ok(order(COMPLETED)));
    }),
    (Invariant(9), "was placed though no caller had asked for it", |store| {
        store.snapshot.answers.remove(&id(UNTOLD));
    }),
    (Invariant(9), "was refused (SOMETHING), and was carried out", |store| {
        store.history.invocations.retain(|call| call.command != create(UNTOLD, 1));
        store.call(create(UNTOLD, 1), refusal("SOMETHING"));
    }),
    (Invariant(9), "was refused, and nobody was told", |store| store.snapshot.refusals.clear()),
    (Invariant(9), "was refused, and OrderCancelled was announced of it", |store| {
        let event = OrderCancelled { order_id: id(REFUSED).to_string(), failure: None };
        store.announce(None, OrderEvent::from(event));
    }),
    (Invariant(9), "was to be set to 10, and 9 was answered", |store| {
        answer_stock(store, SET, |quantity, _| *quantity = 9);
    }),
    (Invariant(9), "was acknowledged as 10 at change 2, when it was not", |store| {
        answer_stock(store, SET, |_, version| *version = 2);
    }),
    (Invariant(9), "was not adjusted by 6 to 15, as was acknowledged", |store| {
        store.history.invocations.retain(|call| call.command != adjust(ADJUST, 5));
        let told = store.snapshot.answers[&id(ADJUST)].clone();
        store.call(adjust(ADJUST, 6), Answer::Ok(told));
    }),
    (Invariant(9), "was adjusted once for requests", |store| {
        let told = store.snapshot.answers[&id(ADJUST)].clone();
        store.call(adjust(ADJUST, 5), Answer::Ok(told.clone()));
        store.call(adjust(50, 5), Answer::Ok(told));
    }),
    (Invariant(9), "was made by hand though no caller had asked for it", |store| {
        store.snapshot.answers.remove(&id(ADJUST));
    }),
    (Invariant(9), "was acknowledged as cancelled and is COMPLETED, not paid", |store| {
        let command = Command::CancelOrder { order_id: id(COMPLETED) };
        store.call(command, Answer::Ok(order(COMPLETED)));
    }),
    (Invariant(9), "was refused to be cancelled as paid, and is not paid", |store| {
        let command = Command::CancelOrder { order_id: id(COMPLETED) };
        store.call(command, refusal("ORDER_ALREADY_PAID"));
    }),
    (Invariant(9), "was acknowledged as paid and is pending", |store| {
        let (payment_id, order_id) = (payment_of(COMPLETED), id(COMPLETED));
        let paid = Reply::Payment { payment_id, order_id, state: "paid".to_owned() };
        store.call(Command::ProcessPayment { payment_id }, Answer::Ok(paid));
    }),
    (Invariant(9), "was refused and exists", |store| {
        let order = Order { order_id: id(REFUSED), ..store.order(SHORT).clone() };
        let total = order.total_minor;
        store.snapshot.orders.push(order);
        let line = store.snapshot.lines[0];
        let (order_id, quantity) = (id(REFUSED), 1);
        let line = OrderLine { order_id, quantity, unit_price_minor: total, ..line };
        store.snapshot.lines.push(line);
        store.reach(REFUSED, OrderState::DecreasingStock);
        store.fail(REFUSED, OrderState::Cancelled, "CANCELLED_BY_CALLER");
        let event = OrderCancelled { order_id: id(REFUSED).to_string(), failure: None };
        store.announce(None, OrderEvent::from(event));
    }),
    (Invariant(9), "was acknowledged as cancelled and does not exist", |store| {
        store.call(Command::CancelOrder { order_id: id(950) }, Answer::Ok(order(950)));
    }),
    (Invariant(9), "exists, and a cancel was told that it does not", |store| {
        store.call(Command::CancelOrder { order_id: id(PAID) }, refusal("ORDER_NOT_FOUND"));
    }),
    (Invariant(9), "was acknowledged as paid and does not exist", |store| {
        let (payment_id, order_id) = (id(950), id(COMPLETED));
        let paid = Reply::Payment { payment_id, order_id, state: "paid".to_owned() };
        store.call(Command::ProcessPayment { payment_id }, Answer::Ok(paid));
    }),
    (Invariant(9), "is not paid", |store| {
        store.payment(COMPLETED).state = PaymentState::Paid;
        store.note(COMPLETED, LedgerKind::Captured);
        let (payment_id, order_id) = (payment_of(COMPLETED), id(COMPLETED));
        // Told of an order that nobody knows.
        let (payment, order) = (payment_id.to_string(), id(950).to_string());
        let event = PaymentProcessed {
            order_id: order,
            payment_id: payment,
            ..PaymentProcessed::default()
        };
        store.announce(None, PaymentEvent::from(event));
        let paid = Reply::Payment { payment_id, order_id, state: "paid".to_owned() };
        store.call(Command::ProcessPayment { payment_id }, Answer::Ok(paid));
    }),
    (Invariant(9), "exists, and a payer was told that it does not", |store| {
        store.call(pay(COMPLETED), refusal("PAYMENT_NOT_FOUND"));
    }),
    (Invariant(9), "was refused as not pending, when it was pending or paid", |store| {
        store.call_after_all(pay(COMPLETED), refusal("PAYMENT_NOT_PENDING"));
    }),
    (Invariant(9), "was refused as not pending, when it was pending or paid", |store| {
        store.call_after_all(pay(PAID), refusal("PAYMENT_NOT_PENDING"));
    }),
    (Invariant(9), "was refused as not pending, when it was pending or paid", |store| {
        let asked = store.last_of("OrderCancellationRequested") - Duration::milliseconds(500);
        store.call_at(asked, pay(CANCELLED), refusal("PAYMENT_NOT_PENDING"));
    }),
];

pub(super) const NOBODY_ASKED: [Case; 3] = [
    (Invariant(9), "was made by hand though no caller had asked for it", |store| {
        // The clock was days behind then.
        store.rewrite(1, |row| row.created_at -= Duration::days(3));
        store.snapshot.answers.remove(&id(ADJUST));
    }),
    (Invariant(9), "was cancelled by a caller, and no caller has asked for it", |store| {
        let calls = &mut store.history.invocations;
        calls.retain(|call| call.command != Command::CancelOrder { order_id: id(CANCELLED) });
    }),
    (Invariant(9), "is paid, and no caller has paid it", |store| {
        let payment_id = payment_of(PAID);
        let calls = &mut store.history.invocations;
        calls.retain(|call| call.command != Command::ProcessPayment { payment_id });
    }),
];

/// Changes what the caller of a stock request was told, and what is kept of it.
fn answer_stock(store: &mut Store, request: u32, change: impl Fn(&mut i64, &mut i64)) {
    let mut told = store.snapshot.answers[&id(request)].clone();
    if let Reply::Stock { quantity, version, .. } = &mut told {
        change(quantity, version);
    }
    store.snapshot.answers.insert(id(request), told.clone());
    let is_it = |call: &&mut Invocation| matches!(call.command, Command::SetStock { request_id, .. } if request_id == id(request));
    let call = store.history.invocations.iter_mut().find(is_it).unwrap();
    call.answer = Answer::Ok(told);
}
