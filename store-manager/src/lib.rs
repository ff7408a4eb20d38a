//! The service that keeps orders, stock, products and users.
//!
//! A command comes in by [`grpc`], is done in one transaction by `commands`, and announced through the outbox. An event comes
//! in by [`handlers`]; `domain::saga` decides what it means, `domain::step` what that does, and `steps` carries it out. `queries`
//! read. `store` has the SQL.

mod announcements;
mod answers;
mod commands;
pub mod config;
#[doc(hidden)] // seen by the lab's model of the saga, which runs these very decisions and steps
pub mod domain;
pub mod grpc;
pub mod handlers;
pub mod metrics;
mod queries;
pub mod seed;
pub mod service;
mod steps;
mod store;
mod sweeper;
pub mod watches;
