//! An outbox row as the Kafka record it becomes: CloudEvents 1.0 in Kafka's binary mode.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::message::{Header, OwnedHeaders};
use runtime::trace::TraceContext;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::source::row::OutboxRow;

/// What a header costs librdkafka beyond its bytes, about.
const OVERHEAD_BYTES: usize = 64;

/// What the names of all headers, their lengths, the id, the times and the record's own fields take, at most.
const HEADER_NAMES_BYTES: usize = 320;

/// A row on its way.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The Kafka topic.
    pub(crate) topic: &'a str,
    /// The Kafka key.
    pub(crate) key: &'a str,
    /// The value, byte for byte.
    pub(crate) payload: &'a [u8],
    /// When it happened, in milliseconds since 1970; now, if the writer's clock runs ahead: brokers refuse a time to come.
    pub(crate) timestamp_ms: i64,
    /// The event's id.
    pub(crate) event_id: Uuid,
    row: &'a OutboxRow,
    /// What it carries instead of the row's own trace context.
    trace: Option<TraceContext>,
    /// A further header that says why the record stands there once more, or otherwise than its row.
    mark: Option<(&'static str, String)>,
}

impl<'a> Record<'a> {
    /// The record of `row`.
    pub(crate) fn new(row: &'a OutboxRow) -> Self {
        Self {
            topic: row.aggregatetype(),
            key: row.aggregateid(),
            payload: &row.payload,
            timestamp_ms: created_at_ms(row).min(now_ms()),
            event_id: row.id,
            row,
            trace: None,
            mark: None,
        }
    }

    /// The record with a trace context of its own.
    pub(crate) fn traced(self, trace: TraceContext) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// The record with one more header.
    pub(crate) fn marked(self, name: &'static str, value: String) -> Self {
        Self { mark: Some((name, value)), ..self }
    }

    /// The record's headers.
    pub(crate) fn headers(&self) -> OwnedHeaders {
        let row = self.row;
        let mut buffer = Uuid::encode_buffer();
        let id: &str = row.id.hyphenated().encode_lower(&mut buffer);
        let time = row.created_at.format(&Rfc3339).unwrap_or_default();
        let always = [
            ("content-type", row.contenttype()),
            ("ce_specversion", "1.0"),
            ("ce_id", id),
            ("ce_source", row.source()),
            ("ce_type", row.event_type()),
            ("ce_subject", row.subject()),
            ("ce_time", &time),
        ];
        let (traceparent, tracestate) = match &self.trace {
            Some(trace) => (trace.traceparent.as_deref(), trace.tracestate.as_deref()),
            None => (row.traceparent(), row.tracestate()),
        };
        let sometimes = [
            ("ce_correlationid", row.correlationid()),
            ("ce_causationid", row.causationid()),
            ("traceparent", traceparent),
            ("tracestate", tracestate),
        ];
        let present = sometimes.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let mark = self.mark.iter().map(|(key, value)| (*key, value.as_str()));
        let headers = OwnedHeaders::new_with_capacity(always.len() + sometimes.len() + 1);
        always.into_iter().chain(present).chain(mark).fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        })
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// When the row was created, in milliseconds since 1970.
pub(crate) fn created_at_ms(row: &OutboxRow) -> i64 {
    i64::try_from(row.created_at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// How many bytes the row's record takes in a batch that is not compressed, at most.
pub(crate) fn wire_bytes(row: &OutboxRow) -> usize {
    row.text_bytes() + row.payload.len() + HEADER_NAMES_BYTES
}

/// About how much memory the row's record takes until it is acknowledged.
pub(crate) fn bytes(row: &OutboxRow) -> usize {
    row.text_bytes() + row.payload.len() + 16 * OVERHEAD_BYTES
}
