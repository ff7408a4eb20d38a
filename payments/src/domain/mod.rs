//! The rules of payments, without any I/O: the [payment] and its states, what happens to it on each [input](transition),
//! and what is [announced](announcement) of it.

pub mod announcement;
pub mod message;
pub mod payment;
pub mod transition;

pub use payment::{Payment, PaymentState, ProviderCall};
pub use transition::{IllegalTransition, Outcome, PaymentInput};
