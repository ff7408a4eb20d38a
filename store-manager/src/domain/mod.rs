//! What the store knows about its things: pure values and decisions, no I/O.

#![deny(clippy::float_arithmetic)]

pub(crate) mod catalog;
pub mod order;
pub mod saga;
pub mod step;
pub mod stock;
