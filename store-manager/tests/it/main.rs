//! What store-manager promises, on a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod commands;
mod counting;
mod interruptions;
mod pairs;
mod queries;
mod races;
mod saga;
mod scene;
mod seeds;
mod service;
mod watching;
