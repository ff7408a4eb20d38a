//! What a step of the saga does: to the order's row, to the stock, and what is announced. Pure, so that `steps`, which carries it
//! out in a transaction, and the lab's model, which tries every order of steps, do the same.

use proto::{
    ProductId,
    store::{orders::events::v1::OrderEvent, stock::events::v1::StockEvent},
};

use super::{
    order::{Failure, Order, OrderState},
    saga::Step,
    stock::{Change, Line, give_back, take},
};
use crate::announcements;

/// What a step does besides changing the order's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    pub stock: StockMove,
    pub announcements: Vec<Announcement>,
}

/// What becomes of the order's lines in the stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StockMove {
    /// They stay where they are.
    Stays,
    /// All are taken.
    Taken(Vec<Change>),
    /// None is taken: of one there is too little.
    CannotBeTaken,
    /// All are given back.
    GivenBack(Vec<Change>),
    /// They stay taken: these products are gone.
    CannotGoBack(Vec<ProductId>),
}

/// An event that a step announces.
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    Order(OrderEvent),
    Stock(StockEvent),
}

impl From<OrderEvent> for Announcement {
    fn from(event: OrderEvent) -> Self {
        Self::Order(event)
    }
}

impl From<StockEvent> for Announcement {
    fn from(event: StockEvent) -> Self {
        Self::Stock(event)
    }
}

impl Step {
    /// Whether what it does depends on what is on hand of the order's lines.
    pub fn is_about_stock(&self) -> bool {
        match self {
            Self::TakeStock | Self::GiveStockBack(_) => true,
            Self::Complete(_)
            | Self::NotePayment(_)
            | Self::VoidPayment(_)
            | Self::Pay(_)
            | Self::AskPayments
            | Self::Cancel
            | Self::EndSaga => false,
        }
    }

    /// Changes the order's row, and answers what else is to be done. `lines` are the order's if the step
    /// [is about stock](Self::is_about_stock), else they do not matter.
    pub fn perform(self, order: &mut Order, lines: &[Line]) -> Effect {
        match self {
            Self::TakeStock => take_stock(order, lines),
            Self::GiveStockBack(failure) => give_stock_back(order, lines, failure),
            Self::Complete(payment) => {
                order.complete(payment);
                announced(end_saga(order))
            }
            Self::NotePayment(payment) => {
                order.note_payment(payment);
                announced(None)
            }
            Self::VoidPayment(payment) => {
                order.note_payment(payment);
                announced(Some(announcements::order_cancellation_requested(order)))
            }
            Self::Pay(payment_id) => {
                order.pay(payment_id);
                announced(end_saga(order))
            }
            Self::AskPayments => {
                order.start_cancelling(Failure::cancelled_by_caller());
                announced(Some(announcements::order_cancellation_requested(order)))
            }
            Self::Cancel => {
                order.cancel(Failure::cancelled_by_caller());
                announced(Some(announcements::order_cancelled(order)))
            }
            Self::EndSaga => announced(end_saga(order)),
        }
    }
}

/// All the lines, or none if one is short.
fn take_stock(order: &mut Order, lines: &[Line]) -> Effect {
    match take(lines) {
        Ok(changes) => {
            order.take_stock();
            let announcements = vec![announcements::stock_decreased(order, &changes).into()];
            Effect { stock: StockMove::Taken(changes), announcements }
        }
        Err(shortage) => {
            let (product_id, required) = (shortage.product_id, shortage.required);
            let failure = Failure::insufficient_stock(product_id, shortage.available, required);
            order.start_cancelling(failure);
            let failed = announcements::stock_decrease_failed(order.order_id, &shortage);
            Effect { stock: StockMove::CannotBeTaken, announcements: vec![failed.into()] }
        }
    }
}

/// All the lines, or none if a product is gone. `failure` is the reason unless the order has one.
fn give_stock_back(order: &mut Order, lines: &[Line], failure: Failure) -> Effect {
    match give_back(lines) {
        Ok(changes) => {
            order.give_stock_back(failure);
            let increased = announcements::stock_increased(order.order_id, &changes);
            Effect { stock: StockMove::GivenBack(changes), announcements: vec![increased.into()] }
        }
        Err(gone) => {
            let announcements = need_attention(order, &gone);
            Effect { stock: StockMove::CannotGoBack(gone), announcements }
        }
    }
}

fn need_attention(order: &mut Order, gone: &[ProductId]) -> Vec<Announcement> {
    if order.state == OrderState::NeedsAttention {
        return Vec::new(); // tried again in vain: that was announced
    }
    order.need_attention(Failure::stock_increase_failed(gone.first().copied()));
    let failed = announcements::stock_increase_failed(order.order_id, gone);
    let ended = end_saga(order).map(Announcement::from);
    std::iter::once(failed.into()).chain(ended).collect()
}

/// The end of the saga, if it has not been announced.
fn end_saga(order: &mut Order) -> Option<OrderEvent> {
    order.end_saga().then(|| announcements::saga_completed(order))
}

fn announced(event: Option<OrderEvent>) -> Effect {
    let announcements = event.into_iter().map(Announcement::from).collect();
    Effect { stock: StockMove::Stays, announcements }
}
