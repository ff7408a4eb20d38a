//! Logs to standard output, for people on a terminal and as JSON otherwise; traces over OTLP where an endpoint is named.
//!
//! Trace ids are real without an endpoint too, and whatever `RUST_LOG` says: spans are made and simply not exported, so that
//! the trace context in outbox rows and headers always tells what belongs together. The other `OTEL_*` variables mean what
//! OpenTelemetry says.

mod json;

use std::{
    env,
    io::{IsTerminal as _, stdout},
};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FromEnvError, fmt, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _, util::TryInitError,
};

/// The standard's variable that names where traces go.
pub const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is no filter.
    #[error("RUST_LOG is wrong")]
    Filter(#[from] FromEnvError),
    /// The endpoint is no URL, or another OTLP variable is wrong.
    #[error("{ENDPOINT_VARIABLE} or another OTEL_ variable is wrong")]
    Exporter(#[from] ExporterBuildError),
    /// It was set up before.
    #[error("telemetry was set up before")]
    Twice(#[from] TryInitError),
}

/// The telemetry of this process. Dropped, or with [`shutdown`](Self::shutdown), it exports the spans it still holds.
#[derive(Debug)]
#[must_use = "dropped, it exports nothing more"]
pub struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Exports the spans it still holds and ends. Log lines still come out afterwards.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            warn!(%error, "the last spans were not exported");
        }
    }
}

/// Sets up logs and traces for the process `service_name`. Call it once, first, inside the asynchronous runtime.
///
/// # Errors
/// If a variable is wrong, or at a second call.
pub fn init(service_name: &'static str) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var("RUST_LOG")
        .from_env()?;
    let provider = provider(service_name)?;
    tracing_subscriber::registry()
        .with(spans(&provider))
        .with(lines().with_filter(filter))
        .try_init()?;
    Ok(Telemetry(provider))
}

fn provider(service_name: &'static str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let mut resource =
        Resource::builder().with_attribute(KeyValue::new("service.namespace", "store"));
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(service_name);
    }
    let mut provider = SdkTracerProvider::builder().with_resource(resource.build());
    if env::var_os(ENDPOINT_VARIABLE).is_some_and(|endpoint| !endpoint.is_empty()) {
        provider = provider.with_batch_exporter(SpanExporter::builder().with_tonic().build()?);
    }
    Ok(provider.build())
}

/// The layer that gives each span its trace context. Spans below `info` have none: they would cost more than they tell.
fn spans<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("runtime"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(LevelFilter::INFO)
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>() -> Box<dyn Layer<S> + Send + Sync> {
    if stdout().is_terminal() {
        fmt::layer().with_writer(stdout).pretty().boxed()
    } else {
        let fields = fmt::format::JsonFields::new();
        fmt::layer().with_writer(stdout).fmt_fields(fields).event_format(json::Lines).boxed()
    }
}

/// Spans with trace contexts, and nothing that is exported or printed.
#[cfg(test)]
pub(crate) fn for_tests() -> (impl Subscriber + Send + Sync, SdkTracerProvider) {
    let provider = SdkTracerProvider::builder().build();
    (tracing_subscriber::registry().with(spans(&provider)), provider)
}
