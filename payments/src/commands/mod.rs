//! What callers may order: one command, one transaction, a file each.

mod process_payment;

pub use process_payment::{ProcessPayment, ProcessPaymentError, process_payment};
