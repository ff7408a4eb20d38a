//! The relay as a process, over a real PostgreSQL and a real Kafka.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod discontinuity;
mod durability;
mod exactly_once;
mod fail_points;
mod feed;
mod init;
mod large;
mod leadership;
mod limits;
mod operator;
mod partitions;
mod quick_start;
mod readiness;
mod refusal;
mod restart;
mod security;
mod sources;
mod switching;
mod topic;
mod traps;
mod wakeup;
mod wal;
mod wal_races;
mod world;
mod writers;
