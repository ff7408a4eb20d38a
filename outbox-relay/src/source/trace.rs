//! The send span: one per record when traces are exported, nothing at all otherwise.

use runtime::trace::{TraceContext, set_parent};

use crate::source::row::OutboxRow;

/// The trace context that the record of `row` carries instead of the row's own: that of a `send` span below it.
pub(crate) fn context(row: &OutboxRow) -> TraceContext {
    let written = TraceContext {
        traceparent: row.traceparent().map(str::to_owned),
        tracestate: row.tracestate().map(str::to_owned),
    };
    let span = tracing::info_span!(
        "send",
        otel.name = format!("send {}", row.aggregatetype()),
        otel.kind = "producer",
        messaging.system = "kafka",
        messaging.operation.type = "send",
        messaging.operation.name = "send",
        messaging.destination.name = row.aggregatetype(),
        messaging.message.id = %row.id,
        messaging.kafka.message.key = row.aggregateid(),
    );
    set_parent(&span, &written);
    TraceContext::of(&span)
}
