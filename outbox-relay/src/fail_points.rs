//! The places at which the relay can be made to fail on purpose, in the order of its road. See [`runtime::fail_points`].

/// The lock is held; the progress has not been read.
pub(crate) const LEADING: &str = "relay.leading";
/// A page has been read, nothing of it sent.
pub(crate) const READ: &str = "relay.read";
/// Some record of a page has been handed to the producer, others not.
pub(crate) const PRODUCING: &str = "relay.producing";
/// A whole page has been handed over.
pub(crate) const PRODUCED: &str = "relay.produced";
/// Kafka has acknowledged records; the progress does not tell yet.
pub(crate) const ACKNOWLEDGED: &str = "relay.acknowledged";
/// The progress has been sent.
pub(crate) const PROGRESS: &str = "relay.progress";
/// The transaction holds records and progress, and is about to be committed.
pub(crate) const COMMITTING: &str = "relay.committing";
/// The transaction is committed; nothing has been read since.
pub(crate) const COMMITTED: &str = "relay.committed";
/// An operator's command is done, and not answered yet.
pub(crate) const ANSWERING: &str = "relay.answering";

/// All of them.
pub const ALL: [&str; 9] =
    [LEADING, READ, PRODUCING, PRODUCED, ACKNOWLEDGED, PROGRESS, COMMITTING, COMMITTED, ANSWERING];
