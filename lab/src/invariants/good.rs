//! The store that tests break: an order of each outcome, a caller for each, and all that they were told.

use proto::store::{
    payments::events::v1::{PaymentCreationFailed, PaymentEvent},
    stock::events::v1::{StockDecreaseFailed, StockEvent},
};

use super::fixture::{PRODUCT, Store, USER, id, payment_of};
use crate::{
    audit::{LedgerKind, OrderState, PaymentState, Refusal},
    history::{Answer, Command, Line, Reply},
};

/// Completed; also two of it.
pub(super) const COMPLETED: u32 = 101;
/// Completed and paid.
pub(super) const PAID: u32 = 102;
/// Of more than is on hand.
pub(super) const SHORT: u32 = 103;
/// Refused by the provider.
pub(super) const UNPAYABLE: u32 = 104;
/// Cancelled by its caller after it was completed.
pub(super) const CANCELLED: u32 = 105;
/// Of a product that is not known.
pub(super) const REFUSED: u32 = 106;
/// Placed, and cancelled at once; its caller was told neither.
pub(super) const UNTOLD: u32 = 107;

/// 15 were there in all; two orders hold 3.
pub(super) const ON_HAND: i64 = 12;

/// Requests about stock: set, and adjusted without an answer.
pub(super) const SET: u32 = 11;
pub(super) const ADJUST: u32 = 12;

pub(super) fn good() -> Store {
    let mut store = Store::default();
    let set = store.set_stock(10);
    let command = Command::SetStock { request_id: id(SET), product_id: PRODUCT, quantity: 10 };
    told(&mut store, SET, command, &set, Answer::Ok(set.clone()));
    let adjusted = store.set_stock(5);
    told(&mut store, ADJUST, adjust(ADJUST, 5), &adjusted, Answer::Unknown);

    store.complete(COMPLETED, 2);
    store.complete(PAID, 1);
    store.pay(PAID);
    let state = "paid".to_owned();
    let paid = Reply::Payment { payment_id: payment_of(PAID), order_id: id(PAID), state };
    store.call(pay(PAID), Answer::Ok(paid));
    store.call(Command::CancelOrder { order_id: id(PAID) }, refusal("ORDER_ALREADY_PAID"));
    short(&mut store);
    unpayable(&mut store);
    store.complete(CANCELLED, 4);
    store.cancel_completed(CANCELLED);
    store.call(Command::CancelOrder { order_id: id(CANCELLED) }, Answer::Ok(order(CANCELLED)));
    for (number, quantity) in
        [(COMPLETED, 2), (PAID, 1), (SHORT, 100), (UNPAYABLE, 3), (CANCELLED, 4)]
    {
        told(
            &mut store,
            number,
            create(number, quantity),
            &order(number),
            Answer::Ok(order(number)),
        );
    }

    store.refuse(REFUSED);
    store.call(create(REFUSED, 1), refusal("PRODUCT_NOT_FOUND"));
    let request_id = Some(id(REFUSED));
    store.snapshot.refusals.push(Refusal { order_id: id(REFUSED), request_id });

    store.place(UNTOLD, 1);
    store.cancel(UNTOLD, None);
    store.order(UNTOLD).failure_reason = Some("CANCELLED_BY_CALLER".to_owned());
    told(&mut store, UNTOLD, create(UNTOLD, 1), &order(UNTOLD), Answer::Unknown);
    store.call(Command::CancelOrder { order_id: id(UNTOLD) }, Answer::Unknown);
    refused_payments(&mut store);
    store
}

/// Refusals that were right: before the provider had accepted, after it had refused, after a cancel, and of no payment; and a
/// call of which nobody knows what it was told.
fn refused_payments(store: &mut Store) {
    store.call(pay(COMPLETED), refusal("PAYMENT_NOT_PENDING"));
    store.call_after_all(pay(COMPLETED), Answer::Unknown);
    store.call_after_all(pay(UNPAYABLE), refusal("PAYMENT_NOT_PENDING"));
    store.call_after_all(pay(CANCELLED), refusal("PAYMENT_NOT_PENDING"));
    store.call_after_all(pay(SHORT), refusal("PAYMENT_NOT_FOUND"));
}

fn short(store: &mut Store) {
    let created = store.place(SHORT, 100);
    store.fail(SHORT, OrderState::Cancelling, "INSUFFICIENT_STOCK");
    let event =
        StockDecreaseFailed { order_id: id(SHORT).to_string(), ..StockDecreaseFailed::default() };
    let failed = store.announce(Some(created), StockEvent::from(event));
    store.cancel(SHORT, Some(failed));
}

fn unpayable(store: &mut Store) {
    let created = store.place(UNPAYABLE, 3);
    let taken = store.take_stock(UNPAYABLE, created);
    store.pay_for(UNPAYABLE, PaymentState::Refused);
    store.note(UNPAYABLE, LedgerKind::Declined);
    let event = PaymentCreationFailed {
        order_id: id(UNPAYABLE).to_string(),
        payment_id: payment_of(UNPAYABLE).to_string(),
        reason: "too much".to_owned(),
    };
    let refused = store.announce(Some(taken), PaymentEvent::from(event));
    store.fail(UNPAYABLE, OrderState::Cancelling, "PAYMENT_REFUSED");
    store.give_back(UNPAYABLE, refused);
}

/// A call whose success the store has kept, whatever its caller was told.
pub(super) fn told(
    store: &mut Store,
    request: u32,
    command: Command,
    kept: &Reply,
    answer: Answer,
) {
    store.snapshot.answers.insert(id(request), kept.clone());
    store.call(command, answer);
}

pub(super) fn create(request: u32, quantity: i32) -> Command {
    let lines = vec![Line { product_id: PRODUCT, quantity }];
    Command::CreateOrder { request_id: id(request), user_id: USER, lines }
}

pub(super) fn pay(order: u32) -> Command {
    Command::ProcessPayment { payment_id: payment_of(order) }
}

pub(super) fn adjust(request: u32, difference: i64) -> Command {
    Command::AdjustStock { request_id: id(request), product_id: PRODUCT, difference }
}

pub(super) fn order(number: u32) -> Reply {
    let state = "DECREASING_STOCK".to_owned();
    Reply::Order { order_id: id(number), state, is_paid: false }
}

pub(super) fn refusal(reason: &str) -> Answer {
    Answer::Refused { code: "FailedPrecondition".to_owned(), reason: reason.to_owned() }
}
