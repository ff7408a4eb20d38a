//! What callers may ask: each query reads and changes nothing.

mod get_payment;
mod list_payments;

pub use get_payment::{GetPaymentError, PaymentKey, get_payment};
pub use list_payments::list_payments;
