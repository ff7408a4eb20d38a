//! The registry of a process's metrics and what they have in common: the prefix, base units, no ids in labels.

pub use prometheus_client::registry::{Registry, Unit};

/// What the name of every metric begins with.
pub const PREFIX: &str = "store";

/// Histogram bounds, in seconds, for what takes from half a millisecond to ten seconds: rpcs, statements, deliveries.
pub const LATENCY_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Histogram bounds, in seconds, for what takes from ten milliseconds to ten minutes: whole sagas.
pub const DURATION_SECONDS: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

/// An empty registry whose metrics get [`PREFIX`].
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}
