//! I-2: no record without a committed outbox row.

use std::collections::HashMap;

use super::{Event, Violation};

/// The records that no committed row tells of as they stand.
#[must_use]
pub fn nothing_invented(committed: &[Event], records: &[Event]) -> Vec<Violation> {
    let rows: HashMap<_, _> = committed.iter().map(|row| (row.id, row)).collect();
    let invented = records.iter().filter(|record| rows.get(&record.id) != Some(record));
    invented.cloned().map(Violation::Invented).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;
    use super::*;

    #[test]
    fn a_record_without_a_row_is_invented() {
        let (committed, records) = (events(&[1]), events(&[1, 2]));
        let expected = [Violation::Invented(events(&[2]).remove(0))];
        assert_eq!(nothing_invented(&committed, &records), expected);
    }

    #[test]
    fn a_record_under_another_key_or_topic_is_invented() {
        let committed = events(&[1, 2]);
        let mut records = committed.clone();
        records[0].key = "0".to_owned();
        records[1].topic = "stock".to_owned();
        assert_eq!(nothing_invented(&committed, &records).len(), 2);
    }
}
