//! I-1: every committed outbox row reaches Kafka.

use std::collections::HashSet;

use super::{Event, Violation};

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
