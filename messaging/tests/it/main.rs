//! What messaging promises, on a real PostgreSQL and a real Kafka.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod consuming;
mod failing;
mod inheriting;
mod moving;
mod parking;
mod partitions;
mod proxy;
mod requests;
mod script;
mod topics;
mod world;
