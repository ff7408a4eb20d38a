//! The rules of payments, without any I/O: the [payment] and its states, and what each input [does](transition) to it.

#![deny(clippy::float_arithmetic, reason = "money is counted in whole minor units")]

pub mod payment;
pub mod transition;

pub use payment::{Payment, PaymentState, ProviderCall};
pub use transition::{IllegalTransition, Outcome, PaymentInput};
