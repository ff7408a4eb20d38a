//! What the store knows about its things: pure values and decisions, no I/O.

#![deny(clippy::float_arithmetic)]

pub(crate) mod catalog;
pub(crate) mod order;
pub(crate) mod saga;
pub(crate) mod stock;
