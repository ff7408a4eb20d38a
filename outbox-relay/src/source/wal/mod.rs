//! The WAL feed: rows in the order of their commits, across keys, without polling.
//!
//! The table makes the slot disposable. Progress is kept in numbers under both feeds, so the relay can go from one to the other at any
//! moment: what has come by one is not taken again from the other.
//!
//! - [`keeper`]: beside the leader, makes the slot, watches it, and drops it when it is of no use.
//! - [`follower`]: in the leader, decides between the table and the stream.
//! - [`audit`]: compares the two.
//! - [`stream`], [`pgoutput`]: the stream itself.

mod address;
mod audit;
mod follower;
mod keeper;
mod pgoutput;
mod slot;
mod stream;

pub(crate) use follower::{Follower, LeaveError, pair};

/// Where the relay reads from, if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// The table, by polling.
    Table,
    /// A replication slot that may hold back so many bytes of WAL.
    Wal {
        /// The bytes.
        budget: u64,
    },
}
