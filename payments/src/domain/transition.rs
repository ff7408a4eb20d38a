//! What happens to a payment on each input: every pair of state and input, without a wildcard.
//!
//! The row of the payment is the only judge between paying and cancelling: whichever of `ProcessPayment` and
//! `OrderCancellationRequested` locks a pending row first decides, and the other finds its decision. The provider is told
//! afterwards. That is safe because it holds the amount while the payment is pending: what is held can always be captured
//! and can always be voided, and only one of the two is ever asked for.

use proto::store::payments::events::v1::PaymentEvent;

use super::{Payment, PaymentState};
use crate::announcements;

/// What happens to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentInput {
    /// The order's stock was taken.
    StockDecreased,
    /// The order is to be cancelled.
    OrderCancellationRequested,
    /// The caller pays.
    ProcessPayment,
    /// The provider holds the amount.
    ProviderAccepted {
        /// Where to pay.
        payment_link: String,
    },
    /// The provider does not hold the amount.
    ProviderRefused {
        /// Why, in its words.
        reason: String,
    },
    /// The provider has charged what it held.
    ProviderCaptured,
    /// The provider holds nothing, and never will.
    ProviderVoided,
}

impl PaymentInput {
    /// The word for it in logs and errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StockDecreased => "StockDecreased",
            Self::OrderCancellationRequested => "OrderCancellationRequested",
            Self::ProcessPayment => "ProcessPayment",
            Self::ProviderAccepted { .. } => "ProviderAccepted",
            Self::ProviderRefused { .. } => "ProviderRefused",
            Self::ProviderCaptured => "ProviderCaptured",
            Self::ProviderVoided => "ProviderVoided",
        }
    }
}

/// What came of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The payment is now this one.
    Changed {
        /// The payment as it is to be written.
        payment: Payment,
        /// What is to be announced with it.
        announcement: Option<PaymentEvent>,
    },
    /// The input had its effect before; nothing follows.
    AlreadyDone(Payment),
    /// Something else was decided before, and has announced or will announce it; nothing follows.
    TooLate(Payment),
}

/// An input that can never meet a payment in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{input} is impossible for a payment that is {state}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub state: PaymentState,
    /// The input's [name](PaymentInput::name).
    pub input: &'static str,
}

impl Payment {
    /// Decides what `input` does.
    ///
    /// # Errors
    /// [`IllegalTransition`] where saga and provider, as promised, cannot get to; or where the caller may not.
    pub fn apply(self, input: PaymentInput) -> Result<Outcome, IllegalTransition> {
        let illegal = IllegalTransition { state: self.state, input: input.name() };
        match input {
            PaymentInput::StockDecreased => Some(self.stock_decreased()),
            PaymentInput::OrderCancellationRequested => Some(self.order_cancellation_requested()),
            PaymentInput::ProcessPayment => self.process(),
            PaymentInput::ProviderAccepted { payment_link } => self.accepted(payment_link),
            PaymentInput::ProviderRefused { reason } => self.refused(reason),
            PaymentInput::ProviderCaptured => self.captured(),
            PaymentInput::ProviderVoided => self.voided(),
        }
        .ok_or(illegal)
    }

    /// There is a row, so the event was handled before; or the order was cancelled first.
    fn stock_decreased(self) -> Outcome {
        match self.state {
            PaymentState::Requested
            | PaymentState::CancelRequested
            | PaymentState::Pending
            | PaymentState::Paid
            | PaymentState::Refused => Outcome::AlreadyDone(self),
            PaymentState::Cancelled => Outcome::TooLate(self),
        }
    }

    fn order_cancellation_requested(self) -> Outcome {
        match self.state {
            // The worker may be asking the provider just now: it is left to void whatever comes of that.
            PaymentState::Requested => self.moved(PaymentState::CancelRequested, false),
            PaymentState::Pending => {
                self.announced(PaymentState::Cancelled, false, announcements::payment_cancelled)
            }
            PaymentState::CancelRequested | PaymentState::Cancelled => Outcome::AlreadyDone(self),
            PaymentState::Paid | PaymentState::Refused => Outcome::TooLate(self),
        }
    }

    fn process(self) -> Option<Outcome> {
        match self.state {
            PaymentState::Pending => {
                Some(self.announced(PaymentState::Paid, false, announcements::payment_processed))
            }
            PaymentState::Paid => Some(Outcome::AlreadyDone(self)),
            PaymentState::Requested
            | PaymentState::CancelRequested
            | PaymentState::Refused
            | PaymentState::Cancelled => None,
        }
    }

    fn accepted(self, payment_link: String) -> Option<Outcome> {
        match self.state {
            PaymentState::Requested => {
                let payment = Self { payment_link: Some(payment_link), ..self };
                Some(payment.announced(PaymentState::Pending, true, announcements::payment_created))
            }
            PaymentState::Pending | PaymentState::Paid => Some(Outcome::AlreadyDone(self)),
            // Void is owed, or was called after this answer was given.
            PaymentState::CancelRequested | PaymentState::Cancelled => Some(Outcome::TooLate(self)),
            PaymentState::Refused => None,
        }
    }

    fn refused(self, reason: String) -> Option<Outcome> {
        match self.state {
            PaymentState::Requested => {
                Some(self.announced(PaymentState::Refused, true, |payment| {
                    announcements::payment_creation_failed(payment, reason)
                }))
            }
            PaymentState::Refused => Some(Outcome::AlreadyDone(self)),
            // The cancel is announced as such; a provider that was told to void refuses from then on.
            PaymentState::CancelRequested | PaymentState::Cancelled => Some(Outcome::TooLate(self)),
            PaymentState::Pending | PaymentState::Paid => None,
        }
    }

    fn captured(self) -> Option<Outcome> {
        match self.state {
            PaymentState::Paid => Some(self.agreed()),
            PaymentState::Requested
            | PaymentState::CancelRequested
            | PaymentState::Pending
            | PaymentState::Refused
            | PaymentState::Cancelled => None,
        }
    }

    fn voided(self) -> Option<Outcome> {
        match self.state {
            PaymentState::CancelRequested => Some(self.announced(
                PaymentState::Cancelled,
                true,
                announcements::payment_cancelled,
            )),
            PaymentState::Cancelled => Some(self.agreed()),
            PaymentState::Requested
            | PaymentState::Pending
            | PaymentState::Paid
            | PaymentState::Refused => None,
        }
    }

    fn moved(self, state: PaymentState, settled: bool) -> Outcome {
        Outcome::Changed { payment: Self { state, settled, ..self }, announcement: None }
    }

    fn announced(
        self,
        state: PaymentState,
        settled: bool,
        announcement: impl FnOnce(&Self) -> PaymentEvent,
    ) -> Outcome {
        let payment = Self { state, settled, ..self };
        let announcement = Some(announcement(&payment));
        Outcome::Changed { payment, announcement }
    }

    fn agreed(self) -> Outcome {
        if self.settled {
            return Outcome::AlreadyDone(self);
        }
        let state = self.state;
        self.moved(state, true)
    }
}

#[cfg(test)]
mod tests;
