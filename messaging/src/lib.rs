//! How one service's transaction becomes another's.
//!
//! Out: [`outbox::append`] writes an event in the transaction that made it true; the relay carries it to Kafka.
//! In: the [`Consumer`] hands each [`Record`] to the service's [`Handler`], once, in a transaction that remembers it in
//! the [`inbox`]. What cannot be handled is parked in a dead-letter topic. [`requests`] does for commands what the inbox
//! does for events, and [`retry`] repeats them where that helps. [`partitions`] keeps the tables of both short.

mod client;
mod consumer;
mod context;
mod dead_letters;
pub mod failure;
pub mod inbox;
pub mod metrics;
pub mod migrate;
pub mod outbox;
pub mod partitions;
mod record;
pub mod requests;
pub mod retry;
pub mod topics;

pub use consumer::{
    Consumer, ConsumerError, ConsumerOptions, ConsumerStatus, Handler, consumer_setting,
};
pub use context::Context;
pub use failure::HandleError;
pub use metrics::ConsumerMetrics;
pub use record::Record;
