//! What payments counts: the calls to the provider and what they led to.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use runtime::metrics::{LATENCY_SECONDS, Registry};

use crate::domain::{PaymentState, ProviderCall};

const CALLS: &str = "payment_provider_calls";
const CALL_DURATION: &str = "payment_provider_call_duration_seconds";
const SETTLED: &str = "payments_settled";
const OWED: &str = "payment_provider_owed";
const OWED_AGE: &str = "payment_provider_owed_age_seconds";

/// How a call to the provider ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum CallOutcome {
    /// With an answer, be it a refusal.
    Answered,
    /// Without one in time.
    TimedOut,
    /// It could not be reached.
    Unavailable,
    /// With something that cannot be.
    Contradiction,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
    outcome: CallOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// The metrics; clones count together.
#[derive(Clone, Debug)]
pub struct PaymentsMetrics {
    calls: Family<CallLabels, Counter>,
    call_duration: Histogram,
    settled: Family<StateLabels, Counter>,
    owed: Gauge,
    owed_age_seconds: Gauge,
}

impl Default for PaymentsMetrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            call_duration: Histogram::new(LATENCY_SECONDS),
            settled: Family::default(),
            owed: Gauge::default(),
            owed_age_seconds: Gauge::default(),
        }
    }
}

impl PaymentsMetrics {
    /// Makes the metrics known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            CALLS,
            "Calls to the payment provider, by outcome",
            metrics.calls.clone(),
        );
        registry.register(
            CALL_DURATION,
            "How long calls to the payment provider took",
            metrics.call_duration.clone(),
        );
        registry.register(
            SETTLED,
            "Payments that the provider came to agree with, by the state they are in then",
            metrics.settled.clone(),
        );
        registry.register(
            OWED,
            "Payments for which a call to the provider is owed",
            metrics.owed.clone(),
        );
        registry.register(
            OWED_AGE,
            "For how long the oldest of them has been owed",
            metrics.owed_age_seconds.clone(),
        );
        metrics
    }

    pub(crate) fn called(&self, call: ProviderCall, outcome: CallOutcome, took: Duration) {
        self.calls.get_or_create(&CallLabels { call: call.name(), outcome }).inc();
        self.call_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn settled(&self, state: PaymentState) {
        self.settled.get_or_create(&StateLabels { state: state.name() }).inc();
    }

    pub(crate) fn owed(&self, count: i64, oldest_age_seconds: i64) {
        self.owed.set(count);
        self.owed_age_seconds.set(oldest_age_seconds);
    }
}
