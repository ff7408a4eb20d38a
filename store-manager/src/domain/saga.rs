//! The saga as one table: for each situation of an order and each input, what follows.
//!
//! Repeats, reordering across topics and restarts end here: the state decides, so that handlers are right without the
//! inbox too.

use proto::PaymentId;

use super::order::{Failure, Order, OrderState};

/// A payment that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub payment_id: PaymentId,
    pub payment_link: String,
}

/// What reaches an order: an event, or a caller's command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The event OrderCreated.
    OrderCreated,
    /// The event StockDecreaseFailed.
    StockDecreaseFailed,
    /// The event StockIncreased.
    StockIncreased,
    /// The event OrderCancelled.
    OrderCancelled,
    /// The event PaymentCreated.
    PaymentCreated(Payment),
    /// The event PaymentCreationFailed, with the provider's reason.
    PaymentCreationFailed(PaymentId, String),
    /// The event PaymentProcessed.
    PaymentProcessed(PaymentId),
    /// The event PaymentCancelled.
    PaymentCancelled(PaymentId),
    /// The command CancelOrder.
    CancelOrder,
}

impl Input {
    fn payment_id(&self) -> Option<PaymentId> {
        match self {
            Self::PaymentCreated(Payment { payment_id, .. })
            | Self::PaymentCreationFailed(payment_id, _)
            | Self::PaymentProcessed(payment_id)
            | Self::PaymentCancelled(payment_id) => Some(*payment_id),
            Self::OrderCreated
            | Self::StockDecreaseFailed
            | Self::StockIncreased
            | Self::OrderCancelled
            | Self::CancelOrder => None,
        }
    }
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take all the lines out of the stock, or none if one is short.
    TakeStock,
    /// Note the payment; the order is completed and its saga ends.
    Complete(Payment),
    /// Note the payment; nothing else changes.
    NotePayment(Payment),
    /// Note the payment, and ask payments to cancel it: the order is cancelled already.
    VoidPayment(Payment),
    /// The order is paid.
    Pay(PaymentId),
    /// Give all the lines back, or ask for attention if one cannot be.
    GiveStockBack(Failure),
    /// Ask payments to decide whether a cancel is in time.
    AskPayments,
    /// Nothing is held: the order is cancelled.
    Cancel,
    /// The order is cancelled: its saga ends, if it has not yet.
    EndSaga,
}

/// What an input means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is due.
    Applies(Step),
    /// A repeat, or overtaken by something that settled the matter: nothing follows.
    AlreadyDone,
    /// It came after the order was given up: its effect elsewhere is undone.
    TooLate(Step),
    /// It cannot be: an event is a dead letter, a command is refused.
    Impossible,
}

/// All of an order that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Situation {
    pub state: OrderState,
    pub stock_taken: bool,
    pub is_paid: bool,
    /// The order's payment, once it is known. An order has one payment for ever.
    pub payment_id: Option<PaymentId>,
    pub saga_completed: bool,
}

impl From<&Order> for Situation {
    fn from(order: &Order) -> Self {
        Self {
            state: order.state,
            stock_taken: order.stock_taken,
            is_paid: order.is_paid,
            payment_id: order.payment_id,
            saga_completed: order.saga_completed,
        }
    }
}

impl Situation {
    /// What `input` means in this situation.
    pub fn decide(self, input: Input) -> Outcome {
        if let (Some(known), Some(given)) = (self.payment_id, input.payment_id())
            && known != given
        {
            return Outcome::Impossible;
        }
        match input {
            Input::OrderCreated => self.order_created(),
            Input::StockDecreaseFailed | Input::StockIncreased => self.nothing_is_held(),
            Input::OrderCancelled => self.order_cancelled(),
            Input::PaymentCreated(payment) => self.payment_created(payment),
            Input::PaymentCreationFailed(_, detail) => self.payment_creation_failed(detail),
            Input::PaymentProcessed(payment_id) => self.payment_processed(payment_id),
            Input::PaymentCancelled(_) => self.payment_cancelled(),
            Input::CancelOrder => self.cancel_order(),
        }
    }

    fn order_created(self) -> Outcome {
        match self.state {
            OrderState::DecreasingStock => Outcome::Applies(Step::TakeStock),
            // In CANCELLED the caller was faster: nothing was taken, and nothing will be.
            OrderState::CreatingPayment
            | OrderState::Completed
            | OrderState::Cancelling
            | OrderState::Cancelled
            | OrderState::NeedsAttention => Outcome::AlreadyDone,
        }
    }

    fn nothing_is_held(self) -> Outcome {
        match (self.state, self.stock_taken) {
            (OrderState::Cancelling, false) => Outcome::Applies(Step::Cancel),
            (OrderState::Cancelled, _) => Outcome::AlreadyDone,
            // Stock is given back once, and the order is CANCELLING from then on until it is CANCELLED.
            (OrderState::Cancelling, true)
            | (
                OrderState::DecreasingStock
                | OrderState::CreatingPayment
                | OrderState::Completed
                | OrderState::NeedsAttention,
                _,
            ) => Outcome::Impossible,
        }
    }

    fn order_cancelled(self) -> Outcome {
        match (self.state, self.saga_completed) {
            (OrderState::Cancelled, false) => Outcome::Applies(Step::EndSaga),
            (OrderState::Cancelled, true) => Outcome::AlreadyDone,
            // CANCELLED is never left.
            (
                OrderState::DecreasingStock
                | OrderState::CreatingPayment
                | OrderState::Completed
                | OrderState::Cancelling
                | OrderState::NeedsAttention,
                _,
            ) => Outcome::Impossible,
        }
    }

    fn payment_created(self, payment: Payment) -> Outcome {
        match (self.state, self.payment_id.is_some()) {
            (OrderState::CreatingPayment, _) => Outcome::Applies(Step::Complete(payment)),
            (OrderState::Cancelling | OrderState::NeedsAttention, false) => {
                Outcome::Applies(Step::NotePayment(payment))
            }
            (OrderState::Cancelled, false) => Outcome::TooLate(Step::VoidPayment(payment)),
            (OrderState::Completed, _)
            | (OrderState::Cancelling | OrderState::Cancelled | OrderState::NeedsAttention, true) => {
                Outcome::AlreadyDone
            }
            // Payments is told of an order by StockDecreased, which leaves this state.
            (OrderState::DecreasingStock, _) => Outcome::Impossible,
        }
    }

    fn payment_creation_failed(self, detail: String) -> Outcome {
        match (self.state, self.stock_taken) {
            (OrderState::CreatingPayment, _) | (OrderState::Cancelling, true) => {
                Outcome::Applies(Step::GiveStockBack(Failure::payment_refused(detail)))
            }
            (OrderState::Cancelling, false)
            | (OrderState::Cancelled | OrderState::NeedsAttention, _) => Outcome::AlreadyDone,
            // A payment that was created does not fail to be created.
            (OrderState::DecreasingStock | OrderState::Completed, _) => Outcome::Impossible,
        }
    }

    fn payment_processed(self, payment_id: PaymentId) -> Outcome {
        match (self.state, self.is_paid, self.stock_taken) {
            (OrderState::Completed, false, _) | (OrderState::Cancelling, _, true) => {
                Outcome::Applies(Step::Pay(payment_id))
            }
            (OrderState::Completed, true, _) => Outcome::AlreadyDone,
            // PaymentCreated comes first, and a payment that is refused or cancelled is never paid.
            (OrderState::Cancelling, _, false)
            | (
                OrderState::DecreasingStock
                | OrderState::CreatingPayment
                | OrderState::Cancelled
                | OrderState::NeedsAttention,
                _,
                _,
            ) => Outcome::Impossible,
        }
    }

    fn payment_cancelled(self) -> Outcome {
        match (self.state, self.stock_taken) {
            (OrderState::Cancelling, true) => {
                Outcome::Applies(Step::GiveStockBack(Failure::cancelled_by_caller()))
            }
            (OrderState::Cancelling, false)
            | (OrderState::Cancelled | OrderState::NeedsAttention, _) => Outcome::AlreadyDone,
            // Payments cancels only what is CANCELLING, and that is left only as paid or given back.
            (
                OrderState::DecreasingStock | OrderState::CreatingPayment | OrderState::Completed,
                _,
            ) => Outcome::Impossible,
        }
    }

    fn cancel_order(self) -> Outcome {
        match (self.state, self.is_paid) {
            (OrderState::DecreasingStock, _) => Outcome::Applies(Step::Cancel),
            (OrderState::CreatingPayment, _) | (OrderState::Completed, false) => {
                Outcome::Applies(Step::AskPayments)
            }
            (OrderState::NeedsAttention, _) => {
                Outcome::Applies(Step::GiveStockBack(Failure::cancelled_by_caller()))
            }
            (OrderState::Cancelling | OrderState::Cancelled, _) => Outcome::AlreadyDone,
            // A paid order stays.
            (OrderState::Completed, true) => Outcome::Impossible,
        }
    }
}

#[cfg(test)]
mod tests;
