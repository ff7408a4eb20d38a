//! Moves committed outbox rows to Kafka: every one, in order per key, at least once or exactly once.
//!
//! - [`Service`]: one task per source, and the admin server.
//! - `source`: what a task does: lead or stand by, look at the table, send, keep the progress, sleep.
//! - `core`: the algorithm by itself, without I/O.
//!
//! Writers pay one INSERT. The relay writes no row of the outbox: only that the table has ever been published, that its leader is alive,
//! and answers to its operators.

mod blocking;
mod broker;
mod config;
mod core;
mod fault;
mod finding;
mod health;
mod init;
mod kafka;
mod metrics;
pub mod operator;
mod service;
mod source;
mod sources;
mod status;
mod supervisor;
mod topics;

pub use config::{Cli, Command, FeedKind, Hidden, InitOptions, RunOptions, TopicsOptions};
pub use init::{InitError, init, outbox_sql};
pub use kafka::KafkaOptions;
pub use runtime::fail_points::road::RELAY as FAIL_POINTS;
pub use service::Service;
pub use source::producer::Delivery;
pub use sources::{SourcesError, SourcesOptions};
pub use topics::{TopicsError, create as create_topics};
