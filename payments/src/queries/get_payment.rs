//! `GetPayment`: one payment, by its own id or by its order's.

use std::fmt;

use proto::{OrderId, PaymentId};
use sqlx::PgPool;

use crate::{domain::Payment, store::payments};

/// By which id a payment is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentKey {
    /// Its own.
    Payment(PaymentId),
    /// That of the order it pays.
    Order(OrderId),
}

impl fmt::Display for PaymentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payment(payment_id) => payment_id.fmt(formatter),
            Self::Order(order_id) => write!(formatter, "of order {order_id}"),
        }
    }
}

/// Why a payment was not shown.
#[derive(Debug, thiserror::Error)]
pub enum GetPaymentError {
    /// There is none.
    #[error("no payment {0}")]
    NoSuchPayment(PaymentKey),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Reads one payment.
///
/// # Errors
/// [`GetPaymentError`].
pub async fn get_payment(pool: &PgPool, key: PaymentKey) -> Result<Payment, GetPaymentError> {
    match key {
        PaymentKey::Payment(payment_id) => payments::get(pool, payment_id).await?,
        PaymentKey::Order(order_id) => payments::get_by_order(pool, order_id).await?,
    }
    .ok_or(GetPaymentError::NoSuchPayment(key))
}
