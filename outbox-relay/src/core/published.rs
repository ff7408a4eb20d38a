//! What the progress that stands on Kafka says of the table: how far its writers have come, and what nobody needs any more.

use crate::core::progress::{Identity, Progress};

/// How far a table is known to be published, as Kafka has acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// The table this is said of.
    pub(crate) identity: Identity,
    /// The largest number published, or seen drawn.
    pub(crate) head: i64,
    /// No number up to this one is ever read again for publishing: each is published or given up, and none waits.
    pub(crate) floor: i64,
}

impl Published {
    /// What `progress` says, once Kafka has acknowledged it.
    pub(crate) fn of(progress: &Progress) -> Self {
        let watermark = progress.reached.position.watermark();
        Self {
            identity: progress.identity.clone(),
            head: progress.reached.position.head(),
            floor: progress
                .reached
                .parked
                .first()
                .map_or(watermark, |first| watermark.min(first - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::core::gaps::{Gaps, Run};
    use crate::core::ledger::Reached;
    use crate::core::parked::{Parked, ParkedKey};
    use crate::core::position::Position;

    fn floor(gap: Option<Run>, waits: Option<i64>) -> i64 {
        let (mut gaps, mut parked) = (Gaps::default(), Parked::default());
        gap.into_iter().for_each(|run| gaps.insert(run));
        if let Some(first) = waits {
            let key = ParkedKey {
                first,
                event_id: Uuid::nil(),
                since_ms: 0,
                topic_is_missing: false,
                reason: String::new(),
            };
            parked.park("orders", "a", key);
        }
        let identity = Identity { system: 1, timeline: 1, database: 1, epoch: Uuid::nil() };
        let position = Position::new(100, gaps);
        Published::of(&Progress { identity, reached: Reached { position, parked } }).floor
    }

    #[test]
    fn nothing_is_done_with_from_the_first_number_on_that_may_come_or_waits() {
        assert_eq!(floor(None, None), 100);
        assert_eq!(floor(Some(Run { first: 50, last: 60 }), None), 49);
        assert_eq!(floor(None, Some(30)), 29);
        assert_eq!(floor(Some(Run { first: 50, last: 60 }), Some(30)), 29);
        assert_eq!(floor(Some(Run { first: 50, last: 60 }), Some(70)), 49);
    }
}
