//! Moves committed outbox rows to Kafka: every one, in order per key, at least once.
//!
//! - [`Service`]: one task per source, and the admin server.
//! - `source`: what a task does: lead or stand by, look at the table, send, keep the progress, sleep.
//! - `core`: the algorithm by itself, without I/O.
//!
//! Writers pay one INSERT. The relay writes no row but one, once: that this table has ever been published.

mod config;
mod core;
mod init;
mod kafka;
mod metrics;
mod service;
mod source;
mod status;
mod topics;

pub use config::{Cli, Command, ConfigError, Hidden, InitOptions, RunOptions, TopicsOptions};
pub use kafka::KafkaOptions;
pub use init::{InitError, init, outbox_sql};
pub use service::Service;
pub use topics::{TopicsError, create as create_topics};
