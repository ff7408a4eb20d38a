//! The port to the payment provider, and the [simulated] one behind it.
//!
//! The provider is outside: it is called outside any transaction, may answer late or never, and may be called again for
//! what it has already done. What is asked of one:
//! - the payment id is the idempotency key: a call repeated answers as the first one did and does nothing more;
//! - what it has accepted it holds until it is captured or voided, so neither of the two can be refused then;
//! - once a payment is voided, also one it has not heard of, nothing is ever held or charged for it.

pub mod ledger;
pub mod simulated;

use std::{error::Error, future::Future};

use proto::{Money, OrderId, PaymentId, UserId};

use crate::domain::Payment;

pub use simulated::{SimulatedProvider, SimulatedProviderOptions};

/// What is to be held and charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The idempotency key.
    pub payment_id: PaymentId,
    /// What it is for.
    pub order_id: OrderId,
    /// Who pays.
    pub user_id: UserId,
    /// How much.
    pub amount: Money,
}

impl From<&Payment> for Charge {
    fn from(payment: &Payment) -> Self {
        Self {
            payment_id: payment.payment_id,
            order_id: payment.order_id,
            user_id: payment.user_id,
            amount: payment.amount,
        }
    }
}

/// The provider's answer to whether it holds an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorisation {
    /// It holds it.
    Accepted {
        /// Where to pay.
        payment_link: String,
    },
    /// It does not and will not.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Why the provider did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached or is busy: to be asked again.
    #[error("the provider is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It breaks its promises, or was asked for what nobody may ask: somebody must look.
    #[error("the provider contradicts itself: {0}")]
    Contradiction(String),
}

/// A payment provider.
pub trait Provider: Send + Sync + 'static {
    /// Holds the amount, or says why not.
    fn authorise(
        &self,
        charge: &Charge,
    ) -> impl Future<Output = Result<Authorisation, ProviderError>> + Send;

    /// Charges what is held.
    fn capture(&self, charge: &Charge) -> impl Future<Output = Result<(), ProviderError>> + Send;

    /// Lets go what is held, and holds nothing for this payment ever after.
    fn void(&self, charge: &Charge) -> impl Future<Output = Result<(), ProviderError>> + Send;
}
