//! Trace context (W3C Trace Context) as it is stored in a row and carried in headers.

use std::collections::HashMap;

use opentelemetry::{Context, propagation::TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header that names the trace and the span that caused what it comes with.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what tracing systems add to it.
pub const TRACESTATE: &str = "tracestate";

/// To which trace something belongs, and which span caused it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The header of that name.
    pub traceparent: Option<String>,
    /// The header of that name.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// That of the current span; empty outside of any.
    #[must_use]
    pub fn current() -> Self {
        Self::of(&Span::current())
    }

    /// That of `span`.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        let mut headers = HashMap::new();
        TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
        Self {
            traceparent: headers.remove(TRACEPARENT),
            tracestate: headers.remove(TRACESTATE).filter(|state| !state.is_empty()),
        }
    }

    fn extract(&self) -> Context {
        let mut headers = HashMap::new();
        for (name, value) in [(TRACEPARENT, &self.traceparent), (TRACESTATE, &self.tracestate)] {
            if let Some(value) = value {
                headers.insert(name.to_owned(), value.clone());
            }
        }
        TraceContextPropagator::new().extract(&headers)
    }
}

/// Makes `span`, which nobody has entered yet, a child of `parent`. An empty or unreadable parent changes nothing.
pub fn set_parent(span: &Span, parent: &TraceContext) {
    if parent.traceparent.is_some() && span.set_parent(parent.extract()).is_err() {
        tracing::debug!("a span that has begun, or that nobody records, keeps its parent");
    }
}

#[cfg(test)]
mod tests {
    use tracing::{info_span, subscriber::with_default};

    use super::*;

    #[test]
    fn a_child_has_the_trace_id_of_its_parent_and_a_span_id_of_its_own() {
        let (subscriber, _provider) = crate::telemetry::for_tests();
        with_default(subscriber, || {
            let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
            let parent = TraceContext {
                traceparent: Some(format!("00-{trace_id}-00f067aa0ba902b7-01")),
                tracestate: Some("vendor=1".to_owned()),
            };
            let span = info_span!("child");
            set_parent(&span, &parent);
            let context = span.in_scope(TraceContext::current);
            let traceparent = context.traceparent.unwrap();
            assert_eq!(traceparent.split('-').nth(1), Some(trace_id));
            assert_ne!(traceparent.split('-').nth(2), Some("00f067aa0ba902b7"));
            assert_eq!(context.tracestate.as_deref(), Some("vendor=1"));
        });
    }

    #[test]
    fn a_span_without_a_readable_parent_begins_a_trace() {
        let (subscriber, _provider) = crate::telemetry::for_tests();
        with_default(subscriber, || {
            let span = info_span!("start");
            set_parent(&span, &TraceContext { traceparent: Some("x".into()), tracestate: None });
            assert!(TraceContext::of(&span).traceparent.is_some());
            assert_eq!(TraceContext::current(), TraceContext::default());
        });
    }
}
