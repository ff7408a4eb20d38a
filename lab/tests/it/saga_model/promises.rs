//! What must hold always, and what must be seen somewhere.

use payments::domain::PaymentState;
use store_manager::domain::order::OrderState;

use super::{
    bounds::Bounds,
    world::{Entry, Order, World},
};

/// Something that is looked for, or held to be always so.
pub(super) type Sight = (&'static str, fn(&Bounds, &World) -> bool);

pub(super) const STOCK_ADDS_UP: &str = "I-6: stock on hand and held adds up, and is never negative";
pub(super) const ENDED_ONCE: &str = "I-5: no saga ends twice";
pub(super) const ALL_END: &str = "I-5: at rest every order has ended, and its saga with it";
pub(super) const CHARGED_RIGHT: &str = "I-7: charged at most once, and only what is paid";
pub(super) const PAYMENTS_AGREE: &str =
    "I-7: at rest payments, provider and order agree, and a cancelled order holds nothing";
pub(super) const NOTHING_IMPOSSIBLE: &str = "I-8: nobody meets what it holds for impossible";

/// What must hold always.
pub(super) const PROMISES: &[Sight] = &[
    (STOCK_ADDS_UP, stock_adds_up),
    (ENDED_ONCE, |_, world| world.orders.iter().all(|order| order.sagas_completed <= 1)),
    (ALL_END, |_, world| !world.is_at_rest() || world.orders.iter().all(has_ended)),
    (CHARGED_RIGHT, |_, world| world.orders.iter().all(is_charged_right)),
    (PAYMENTS_AGREE, |_, world| !world.is_at_rest() || world.orders.iter().all(agrees)),
    (NOTHING_IMPOSSIBLE, |_, world| world.orders.iter().all(|order| !order.impossible)),
];

/// Nothing that is there is more than was at the start, and nothing less than none.
fn stock_adds_up(bounds: &Bounds, world: &World) -> bool {
    let held = world.orders.iter().filter(|order| order.holds_stock()).count();
    world.on_hand >= 0 && world.on_hand + i64::try_from(held).unwrap() == bounds.stock
}

fn has_ended(order: &Order) -> bool {
    match order.state() {
        None => true,
        Some(OrderState::Completed | OrderState::Cancelled) => order.sagas_completed > 0,
        Some(
            OrderState::DecreasingStock
            | OrderState::CreatingPayment
            | OrderState::Cancelling
            | OrderState::NeedsAttention,
        ) => false,
    }
}

fn is_charged_right(order: &Order) -> bool {
    let is_paid = order.payment.is_some_and(|payment| payment.state == PaymentState::Paid);
    match order.charges() {
        0 => true,
        1 => is_paid && !order.provider_has(Entry::Voided),
        _ => false,
    }
}

fn agrees(order: &Order) -> bool {
    let state = order.payment.map(|payment| payment.state);
    let holds = order.provider_has(Entry::Authorised) && !order.provider_has(Entry::Voided);
    match order.state() {
        Some(OrderState::Completed) if order.is_paid() => {
            state == Some(PaymentState::Paid) && order.provider_has(Entry::Captured)
        }
        Some(OrderState::Completed) => state == Some(PaymentState::Pending) && holds,
        None
        | Some(
            OrderState::DecreasingStock
            | OrderState::CreatingPayment
            | OrderState::Cancelling
            | OrderState::Cancelled
            | OrderState::NeedsAttention,
        ) => {
            matches!(state, None | Some(PaymentState::Refused | PaymentState::Cancelled)) && !holds
        }
    }
}

fn at_rest(world: &World, is: impl Fn(&Order) -> bool) -> bool {
    world.is_at_rest() && world.orders.iter().any(is)
}

fn is_cancelled(order: &Order) -> bool {
    order.state() == Some(OrderState::Cancelled)
}

/// How a saga may end. `cancel_asked` tells whether the caller has cancelled.
pub(super) const OUTCOMES: &[Sight] = &[
    ("completed, and waits to be paid", |_, world| {
        at_rest(world, |order| order.state() == Some(OrderState::Completed) && !order.is_paid())
    }),
    ("completed and paid", |_, world| {
        at_rest(world, |order| order.is_paid() && !order.cancel_asked)
    }),
    ("paid, since the cancel came too late", |_, world| {
        at_rest(world, |order| order.is_paid() && order.cancel_asked)
    }),
    ("cancelled by the caller before anything was taken", |_, world| {
        at_rest(world, |order| is_cancelled(order) && order.cancel_asked && order.payment.is_none())
    }),
    ("cancelled by the caller, and payments had not heard of the order", |_, world| {
        at_rest(world, |order| {
            is_cancelled(order)
                && order.ledger.is_empty()
                && order.payment.is_some_and(|payment| payment.state == PaymentState::Cancelled)
        })
    }),
    ("cancelled by the caller, and what the provider held is free again", |_, world| {
        at_rest(world, |order| {
            is_cancelled(order)
                && order.provider_has(Entry::Authorised)
                && order.provider_has(Entry::Voided)
        })
    }),
    ("cancelled by the caller before the provider was asked", |_, world| {
        at_rest(world, |order| is_cancelled(order) && order.ledger == [Entry::Voided])
    }),
    ("cancelled, since the provider refused", |_, world| {
        at_rest(world, |order| {
            is_cancelled(order) && order.provider_has(Entry::Declined) && !order.cancel_asked
        })
    }),
];

/// With two orders for one unit.
pub(super) const CONTENTION: &[Sight] = &[
    ("one is completed, the other cancelled, since there was one unit", |_, world| {
        let unasked =
            |order: &&Order| is_cancelled(order) && !order.cancel_asked && order.payment.is_none();
        world.orders.iter().any(|order| order.state() == Some(OrderState::Completed))
            && world.is_at_rest()
            && world.orders.iter().filter(unasked).count() == 1
    }),
    ("both are completed in turn, since the first gave its unit back", |_, world| {
        at_rest(world, |order| is_cancelled(order) && order.payment.is_some())
            && world.orders.iter().any(Order::is_paid)
    }),
];
