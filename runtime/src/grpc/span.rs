//! A span for each rpc, child of the span that the caller's `traceparent` names, ended when the answer is out.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use tonic::{Code, transport::server::TcpConnectInfo};
use tracing::{Instrument as _, Span, field::Empty, info_span};

use super::{body, methods::Methods};
use crate::trace::{TRACEPARENT, TRACESTATE, TraceContext, set_parent};

pub(super) async fn span(State(methods): State<Methods>, request: Request, next: Next) -> Response {
    let span = server_span(&methods, &request);
    let response = next.run(request).instrument(span.clone()).await;
    body::on_end(response, move |code| {
        span.record("rpc.grpc.status_code", i32::from(code));
        if is_servers_fault(code) {
            span.record("otel.status_code", "ERROR");
        }
    })
}

fn server_span(methods: &Methods, request: &Request) -> Span {
    let method = methods.at(request.uri().path());
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let span = info_span!(
        "rpc",
        otel.name = %format_args!("{}/{}", method.service, method.name),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = %method.service,
        rpc.method = %method.name,
        rpc.grpc.status_code = Empty,
        network.peer.address = peer.map(|peer| tracing::field::display(peer.ip())),
    );
    let header = |name| text(request.headers(), name);
    let parent = TraceContext { traceparent: header(TRACEPARENT), tracestate: header(TRACESTATE) };
    set_parent(&span, &parent);
    span
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The codes that OpenTelemetry's conventions count as errors of a server.
fn is_servers_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    [DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown].contains(&code)
}
