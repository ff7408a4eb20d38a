//! Payments: what is to be paid for each order, and what was.
//!
//! An order's stock is taken: a row is written and the provider asked to hold the amount. The caller pays, or the order is
//! cancelled: the row decides which, the provider follows. What is asked of this service comes in through [`grpc`] and
//! [`handlers`]; what it has done is announced on `store.payments.events.v1`. `worker` alone talks to the provider.

mod announcements;
mod answers;
pub mod commands;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod handlers;
pub mod metrics;
pub mod provider;
pub mod queries;
pub mod service;
pub mod store;
pub mod worker;
