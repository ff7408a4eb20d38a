//! Exactly once: a consumer that reads what is committed sees each event once.

use std::collections::HashMap;

use super::{Event, Violation};

/// The events that stand on Kafka more than once.
#[must_use]
pub fn nothing_twice(records: &[Event]) -> Vec<Violation> {
    let mut times: HashMap<_, usize> = HashMap::new();
    for record in records {
        *times.entry(record.id).or_default() += 1;
    }
    // Each is named where it stands first.
    let repeated = records.iter().filter_map(|record| match times.remove(&record.id) {
        Some(times) if times > 1 => Some(Violation::Repeated { event: record.clone(), times }),
        Some(_) | None => None,
    });
    repeated.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::events;
    use super::*;

    #[test]
    fn an_event_that_stands_twice_is_found_once() {
        let expected = [Violation::Repeated { event: events(&[3]).remove(0), times: 3 }];
        assert_eq!(nothing_twice(&events(&[1, 3, 2, 3, 3])), expected);
    }
}
