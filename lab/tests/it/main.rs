//! The lab itself: that its stack starts, breaks on demand, comes back, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod audit;
mod bench;
mod campaign;
mod compose;
mod debezium;
mod docs;
mod fuzz;
mod leftovers;
mod messages;
mod naive;
mod refusals;
mod running;
mod saga_model;
mod scenarios;
mod servers;
mod up;
mod users;
mod whole;
