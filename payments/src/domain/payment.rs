//! A payment and its states.

use std::fmt;

use proto::{Money, OrderId, PaymentId, UserId, store::payments::events::v1::PaymentEvent};
use time::OffsetDateTime;

use crate::announcements;

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// The order's stock is taken, the provider has not answered. Set by the handler of `StockDecreased`.
    Requested,
    /// As above, but the order was cancelled meanwhile. Set by the handler of `OrderCancellationRequested`; a row of
    /// state `requested` with `cancel_requested`.
    CancelRequested,
    /// The provider holds the amount. Set by the worker.
    Pending,
    /// The caller paid. Set by `ProcessPayment`.
    Paid,
    /// The provider does not hold the amount. Set by the worker.
    Refused,
    /// Cancelled with its order. Set by the handler of `OrderCancellationRequested`, or by the worker once it has voided.
    Cancelled,
}

impl PaymentState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Requested,
        Self::CancelRequested,
        Self::Pending,
        Self::Paid,
        Self::Refused,
        Self::Cancelled,
    ];

    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::CancelRequested => "cancel_requested",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A call to the provider. Each can be repeated: the payment id is its idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderCall {
    /// Hold the amount.
    Authorise,
    /// Charge what is held.
    Capture,
    /// Let go what is held, and hold nothing for this payment ever after.
    Void,
}

impl ProviderCall {
    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
        }
    }
}

/// What is to be paid for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Fixed when the payment is first known; the provider's idempotency key.
    pub payment_id: PaymentId,
    /// The order it pays; no other payment does.
    pub order_id: OrderId,
    /// Who pays.
    pub user_id: UserId,
    /// How much: the order's total.
    pub amount: Money,
    /// How far it has come.
    pub state: PaymentState,
    /// Where to pay; known once the provider has accepted.
    pub payment_link: Option<String>,
    /// Whether the provider is known to agree with the state; if not, the worker owes it a [call](Self::owed_call).
    pub settled: bool,
    /// When it was first known.
    pub created_at: OffsetDateTime,
    /// When its state last changed.
    pub updated_at: OffsetDateTime,
}

impl Payment {
    /// The payment of an order whose stock is taken.
    #[must_use]
    pub fn requested(order_id: OrderId, user_id: UserId, amount: Money) -> Self {
        Self::new(order_id, user_id, amount, PaymentState::Requested, false)
    }

    /// The payment of an order that was cancelled before its stock was known to be taken, and what is announced of it. The
    /// provider never hears of it.
    #[must_use]
    pub fn cancelled(order_id: OrderId, user_id: UserId, amount: Money) -> (Self, PaymentEvent) {
        let payment = Self::new(order_id, user_id, amount, PaymentState::Cancelled, true);
        let announcement = announcements::payment_cancelled(&payment);
        (payment, announcement)
    }

    fn new(
        order_id: OrderId,
        user_id: UserId,
        amount: Money,
        state: PaymentState,
        settled: bool,
    ) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            payment_id: PaymentId::new(),
            order_id,
            user_id,
            amount,
            state,
            payment_link: None,
            settled,
            created_at: now,
            updated_at: now,
        }
    }

    /// The call that brings the provider to agree with the state; `None` if it does already.
    #[must_use]
    pub fn owed_call(&self) -> Option<ProviderCall> {
        if self.settled {
            return None;
        }
        match self.state {
            PaymentState::Requested => Some(ProviderCall::Authorise),
            PaymentState::Paid => Some(ProviderCall::Capture),
            PaymentState::CancelRequested | PaymentState::Cancelled => Some(ProviderCall::Void),
            PaymentState::Pending | PaymentState::Refused => None,
        }
    }
}
