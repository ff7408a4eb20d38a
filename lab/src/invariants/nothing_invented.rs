//! I-2: no record without a committed outbox row, and none that says something else than its row.

use std::collections::HashMap;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Event, Violation};
use crate::audit::{self, Evidence, Findings, Record, Row};

/// I-2 over the records that nobody put on a topic on purpose: each is as its row says, to the byte.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let committed: Vec<_> = snapshot.outbox.iter().map(Row::event).collect();
    let records: Vec<_> = snapshot.relayed().map(Record::event).collect();
    let invented = nothing_invented(&committed, &records);
    let mut violations: Vec<_> = invented.iter().map(|found| found.told(snapshot)).collect();
    let rows: HashMap<_, _> = snapshot.outbox.iter().map(|row| (row.event_id, row)).collect();
    violations.extend(snapshot.relayed().filter_map(|record| {
        let row = rows.get(&record.event_id()?)?;
        altered(row, record)
    }));
    Findings { counted: vec![(records.len(), "records")], violations }
}

/// A record that says something else than its row: in its value, or in the headers that the relay makes of it.
fn altered(row: &Row, record: &Record) -> Option<audit::Violation> {
    let cause = row.cause.map(|cause| cause.to_string());
    let written = [
        ("ce_type", Some(row.event_type.as_str())),
        ("ce_source", Some(&row.source)),
        ("ce_subject", Some(&row.subject)),
        ("ce_correlationid", row.correlation.as_deref()),
        ("ce_causationid", cause.as_deref()),
    ];
    let time = record.header("ce_time").map(|time| OffsetDateTime::parse(time, &Rfc3339));
    let what = if row.payload != record.payload {
        "value"
    } else if let Some((name, _)) =
        written.iter().find(|(name, as_written)| record.header(name) != *as_written)
    {
        name
    } else if time != Some(Ok(row.created_at)) {
        "ce_time"
    } else if row.traceparent.is_some()
        && trace_id(record.header("traceparent")) != trace_id(row.traceparent.as_deref())
    {
        "trace"
    } else {
        return None;
    };
    let event = record.event();
    let sentence = format!("{event} has another {what} than its row");
    Some(audit::Violation::new(record.order_id(), sentence))
}

/// The trace of a W3C `traceparent`, `VERSION-TRACE-SPAN-FLAGS`: the relay has spans of its own in it.
fn trace_id(traceparent: Option<&str>) -> Option<&str> {
    traceparent?.split('-').nth(1)
}

/// The records that no committed row tells of as they stand.
#[must_use]
pub fn nothing_invented(committed: &[Event], records: &[Event]) -> Vec<Violation> {
    let rows: HashMap<_, _> = committed.iter().map(|row| (row.id, row)).collect();
    let is_as_written = |record: &Event| {
        rows.get(&record.id)
            .is_some_and(|row| (&row.topic, &row.key) == (&record.topic, &record.key))
    };
    let invented = records.iter().filter(|record| !is_as_written(record));
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
