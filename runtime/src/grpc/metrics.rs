//! `store_rpc_server_duration_seconds`: how long each rpc took until its answer was out, by service, method and code.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
};
use tokio::time::Instant;

use super::{
    body,
    methods::{Method, Methods},
};
use crate::metrics::{LATENCY_SECONDS, Registry, Unit};

const NAME: &str = "rpc_server_duration";
const HELP: &str = "From the arrival of an rpc until its answer is out";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    rpc_service: std::sync::Arc<str>,
    rpc_method: std::sync::Arc<str>,
    rpc_grpc_status_code: i32,
}

/// The durations of a server's rpcs.
#[derive(Clone, Debug)]
pub(super) struct Durations(Family<Labels, Histogram, fn() -> Histogram>);

impl Durations {
    /// Durations nobody can read yet.
    pub(super) fn new() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(LATENCY_SECONDS)))
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(NAME, HELP, Unit::Seconds, self.0.clone());
    }

    fn observe(&self, method: Method, code: tonic::Code, begun: Instant) {
        let labels = Labels {
            rpc_service: method.service,
            rpc_method: method.name,
            rpc_grpc_status_code: code.into(),
        };
        self.0.get_or_create(&labels).observe(begun.elapsed().as_secs_f64());
    }
}

pub(super) async fn metrics(
    State((methods, durations)): State<(Methods, Durations)>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = methods.at(request.uri().path()).clone();
    let response = next.run(request).await;
    body::on_end(response, move |code| durations.observe(method, code, begun))
}
