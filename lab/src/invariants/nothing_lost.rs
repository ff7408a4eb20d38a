//! I-1: every committed outbox row reaches Kafka.

use std::collections::HashSet;

use super::{Event, Violation};
use crate::audit::{Evidence, Findings, Record, Row};

/// I-1 over the rows of both outboxes and all that stands on the topics.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let committed: Vec<_> = snapshot.outbox.iter().map(Row::event).collect();
    let records: Vec<_> = snapshot.records.iter().map(Record::event).collect();
    let lost = nothing_lost(&committed, &records);
    Findings {
        counted: vec![(committed.len(), "committed events"), (records.len(), "records")],
        violations: lost.iter().map(|found| found.told(snapshot)).collect(),
    }
}

/// The committed rows that no record tells of.
#[must_use]
pub fn nothing_lost(committed: &[Event], records: &[Event]) -> Vec<Violation> {
    let seen: HashSet<_> = records.iter().map(|record| record.id).collect();
    let lost = committed.iter().filter(|row| !seen.contains(&row.id));
    lost.cloned().map(Violation::Lost).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;
    use super::*;

    #[test]
    fn a_row_that_is_not_on_kafka_is_lost() {
        let (committed, records) = (events(&[1, 2, 3]), events(&[1, 3, 3]));
        assert_eq!(nothing_lost(&committed, &records), [Violation::Lost(events(&[2]).remove(0))]);
    }
}
