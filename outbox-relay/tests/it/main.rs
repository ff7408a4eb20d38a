//! The relay as a process, over a real PostgreSQL and a real Kafka.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod discontinuity;
mod durability;
mod exactly_once;
mod feed;
mod init;
mod leadership;
mod limits;
mod partitions;
mod refusal;
mod restart;
mod topic;
mod wakeup;
mod world;
