//! The algorithm, free of I/O: which numbers of the outbox are done, which are still to come, and what may be given up.
//!
//! Rows come in by [`ledger::Ledger`], acknowledgements too; out come the gaps to look up, and the [`progress`] to keep.

pub(crate) mod caution;
pub(crate) mod gaps;
pub(crate) mod holders;
pub(crate) mod leadership;
pub(crate) mod ledger;
pub(crate) mod parked;
pub(crate) mod position;
pub(crate) mod progress;
pub(crate) mod published;
pub(crate) mod quiet;

#[cfg(test)]
mod model;
