//! Payments on a real PostgreSQL: each test has a database of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bad_input;
mod interruptions;
mod pairs;
mod process_payment;
mod queries;
mod races;
mod scene;
mod service;
mod simulated_provider;
mod traces;
mod worker;
