//! When a standby may end the connection of a leader that holds the lock and does nothing any more, such as a stopped process.

use std::time::{Duration, Instant};

/// A leader that has not beaten for so long is taken for dead. It beats once a second.
pub(crate) const STALE: Duration = Duration::from_secs(8);

/// What a standby remembers of the leader: its last sign of life, and when that was first seen.
///
/// Only the standby's own clock counts: a beat is a token that changes, so that a clock set back in the database means nothing.
#[derive(Debug)]
pub(crate) struct Watch<T> {
    seen: Option<(T, Instant)>,
}

impl<T: PartialEq> Watch<T> {
    /// Nothing has been seen yet.
    pub(crate) fn new() -> Self {
        Self { seen: None }
    }

    /// Takes in the leader's last sign of life; says whether it has been without another one for too long.
    pub(crate) fn is_stale(&mut self, sign: T, now: Instant) -> bool {
        match &self.seen {
            Some((seen, since)) if *seen == sign => now.duration_since(*since) >= STALE,
            Some(_) | None => {
                self.seen = Some((sign, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_stale_when_it_has_been_seen_unchanged_for_long() {
        let (mut watch, began) = (Watch::new(), Instant::now());
        assert!(!watch.is_stale("1", began), "just met, however old the beat may be");
        assert!(!watch.is_stale("1", began + STALE / 2));
        assert!(!watch.is_stale("2", began + STALE), "it lives");
        assert!(!watch.is_stale("2", began + STALE * 3 / 2));
        assert!(watch.is_stale("2", began + STALE * 2));
    }
}
