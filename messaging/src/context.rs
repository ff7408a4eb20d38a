//! What an event inherits from what caused it: the saga it belongs to, the event before it, the trace.

use std::fmt::Display;

use runtime::trace::TraceContext;
use uuid::Uuid;

/// What the next event inherits.
#[derive(Clone, Debug)]
pub struct Context {
    /// The saga; header `ce_correlationid`.
    pub correlation_id: String,
    /// The event that caused the next one; header `ce_causationid`. `None` after a command.
    pub causation_id: Option<Uuid>,
    /// The trace the next event continues.
    pub trace: TraceContext,
}

impl Context {
    /// A command's context: no event caused it, the trace is that of the current span.
    #[must_use]
    pub fn start(correlation_id: impl Display) -> Self {
        Self {
            correlation_id: correlation_id.to_string(),
            causation_id: None,
            trace: TraceContext::current(),
        }
    }
}
