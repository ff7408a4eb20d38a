//! The layers, seen by a caller: real connections, raw bytes.

use std::{future::pending, net::SocketAddr, num::NonZeroU32, pin::Pin, time::Duration};

use axum::{Router, routing::post};
use bytes::Bytes;
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::*;
use crate::{TaskError, Tasks, grpc::deadline::remaining};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const EMPTY: &[u8] = &[0, 0, 0, 0, 0];
const SOON: Duration = Duration::from_secs(5);

struct World {
    tasks: Tasks,
    /// Of a client that keeps no deadline of its own.
    channel: SendRequest<axum::body::Body>,
    registry: Registry,
    _connection: JoinSet<()>,
}

impl World {
    async fn new(options: GrpcOptions) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut registry = crate::metrics::registry();
        let server = GrpcServer::bind(any, options).await.unwrap().metrics(&mut registry);
        let address = server.local_addr();
        let mut tasks = Tasks::new();
        tasks.spawn("grpc", server.serve(routes(), &["test.Test"], tasks.shutdown()));
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (channel, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
        let mut connections = JoinSet::new();
        connections.spawn(async { drop(connection.await) });
        Self { tasks, channel, registry, _connection: connections }
    }

    async fn call(&self, path: &str, body: &[u8]) -> Status {
        self.call_with(path, body, &[]).await
    }

    async fn call_with(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Status {
        status_of(self.answer(path, body, headers).await).await
    }

    async fn answer(
        &self,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        let body = axum::body::Body::from(Bytes::copy_from_slice(body));
        let uri = format!("http://test{path}");
        let mut request = http::Request::post(uri).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        timeout(SOON, self.channel.clone().send_request(request)).await.unwrap().unwrap()
    }

    async fn stop(self) -> Result<(), TaskError> {
        self.tasks.shutdown().request();
        self.tasks.run(SOON).await
    }
}

fn routes() -> Routes {
    let ok = || async { status_response(Status::new(Code::Ok, "")) };
    let left = || async { status_response(Status::aborted(format!("{:?}", remaining()))) };
    let panic = || async {
        if remaining().is_some() {
            panic!("on purpose")
        }
    };
    let router = Router::new()
        .route("/test.Test/Ok", post(ok))
        .route("/test.Test/Left", post(left))
        .route("/test.Test/Panic", post(panic))
        .route("/test.Test/PanicLate", post(panic_late))
        .route("/test.Test/Slow", post(pending::<()>));
    Routes::from(router)
}

/// A stream that panics after its first message.
async fn panic_late() -> axum::response::Response {
    let first = std::iter::once(Ok::<_, std::io::Error>(Bytes::from_static(EMPTY)));
    let rest = std::iter::from_fn(|| panic!("on purpose"));
    let body = axum::body::Body::from_stream(futures::stream::iter(first.chain(rest)));
    http::Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

fn status_response(status: Status) -> axum::response::Response {
    status.into_http::<axum::body::Body>()
}

async fn status_of(response: http::Response<Incoming>) -> Status {
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let mut body = response.into_body();
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = timeout(SOON, frame).await.unwrap().unwrap().unwrap();
        if let Ok(trailers) = frame.into_trailers() {
            return Status::from_header_map(&trailers).unwrap();
        }
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

fn told(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

#[tokio::test]
async fn bytes_that_are_no_request_are_the_callers_fault() {
    let world = World::new(GrpcOptions::default()).await;
    let bodies: [&[u8]; 8] = [
        &[0, 0, 0, 0, 3, 0x0a, 0x7f, 0x61], // a string longer than the message
        &[0, 0, 0, 0, 3, 0x0a, 0x01, 0xff], // a string that is not UTF-8
        &[0, 0, 0, 0, 1, 0xff],             // half a tag
        &[0, 0, 0, 0, 9, 0x0a],             // a message that ends early
        &[7, 0, 0, 0, 0],                   // an unknown flag
        &[1, 0, 0, 0, 1, 0],                // compressed, nobody says how
        &[0, 0],                            // half a frame
        &[],                                // nothing
    ];
    for path in [CHECK, WATCH] {
        for body in bodies {
            let status = world.call(path, body).await;
            let expected = (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned());
            assert_eq!(told(&status), expected, "{path} {body:?}: {status:?}");
        }
    }
    assert_eq!(world.call(CHECK, EMPTY).await.code(), Code::Ok);
    world.stop().await.unwrap();
}

#[tokio::test]
async fn no_bytes_make_an_internal_error() {
    let world = World::new(GrpcOptions::default()).await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..500 {
        let mut body = vec![0, 0, 0, 0, 12];
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            body.push((state >> 56) as u8);
        }
        let status = world.call(CHECK, &body).await;
        assert_ne!(status.code(), Code::Internal, "{body:?}");
        assert!(status.code() == Code::Ok || !reason(&status).is_empty(), "{body:?}: {status:?}");
    }
}

#[tokio::test]
async fn every_error_has_its_reason() {
    let world = World::new(GrpcOptions::default()).await;
    let too_large = [0, 0, 0x50, 0, 0];
    let unknown_service = [0, 0, 0, 0, 3, 0x0a, 0x01, b'x'];
    let cases: [(&str, &[u8], Code, &str); 8] = [
        ("/no.Service/Method", EMPTY, Code::Unimplemented, "UNIMPLEMENTED"),
        ("/grpc.health.v1.Health/No", EMPTY, Code::Unimplemented, "UNIMPLEMENTED"),
        ("/", EMPTY, Code::Unimplemented, "UNIMPLEMENTED"),
        (CHECK, &unknown_service, Code::NotFound, "NOT_FOUND"),
        (CHECK, &too_large, Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        ("/test.Test/Panic", EMPTY, Code::Internal, "INTERNAL"),
        ("/test.Test/PanicLate", EMPTY, Code::Internal, "INTERNAL"),
        ("/test.Test/Left", EMPTY, Code::Aborted, "ABORTED"),
    ];
    for (path, body, code, reason) in cases {
        let status = world.call(path, body).await;
        assert_eq!(told(&status), (code, reason.to_owned()), "{path}: {status:?}");
    }
    assert_eq!(world.call("/test.Test/Ok", EMPTY).await.code(), Code::Ok);
}

#[tokio::test]
async fn the_callers_deadline_and_the_default_one_hold() {
    let hour = GrpcOptions { grpc_default_timeout_ms: 3_600_000, ..GrpcOptions::default() };
    let world = World::new(hour).await;
    let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
    for asked in ["60m", "90m"] {
        let headers = [("grpc-timeout", asked)];
        let status = world.call_with("/test.Test/Slow", EMPTY, &headers).await;
        assert_eq!(told(&status), expected, "{asked}: {status:?}");
    }
    let status = world.call_with("/test.Test/Left", EMPTY, &[("grpc-timeout", "9S")]).await;
    assert!(status.message().starts_with("Some(8."), "{}", status.message());

    let soon = GrpcOptions { grpc_default_timeout_ms: 300, ..GrpcOptions::default() };
    let world = World::new(soon).await;
    let begun = Instant::now();
    assert_eq!(told(&world.call("/test.Test/Slow", EMPTY).await), expected);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_stream_has_no_deadline_but_the_callers() {
    let options = GrpcOptions { grpc_default_timeout_ms: 1, ..GrpcOptions::default() };
    let world = World::new(options).await;
    let begun = Instant::now();
    let status = world.call_with(WATCH, EMPTY, &[("grpc-timeout", "200m")]).await;
    assert_eq!(told(&status), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    assert!(begun.elapsed() > Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_comes_too_often_is_told_when_to_come_again() {
    let grpc_max_requests_per_second = NonZeroU32::new(2).unwrap();
    let world =
        World::new(GrpcOptions { grpc_max_requests_per_second, ..Default::default() }).await;
    for _ in 0..2 {
        assert_eq!(world.call(CHECK, EMPTY).await.code(), Code::Ok);
    }
    let status = world.call(CHECK, EMPTY).await;
    assert_eq!(told(&status), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn a_place_is_taken_until_the_stream_is_over() {
    let options = GrpcOptions { grpc_max_concurrent_requests: 1, ..Default::default() };
    let world = World::new(options).await;
    let stream = world.answer(WATCH, EMPTY, &[]).await;
    let status = world.call(CHECK, EMPTY).await;
    assert_eq!(told(&status), (Code::ResourceExhausted, "TOO_MANY_REQUESTS_AT_ONCE".to_owned()));
    assert!(status.get_error_details().retry_info().is_some());
    drop(stream);
    let free = async { while world.call(CHECK, EMPTY).await.code() != Code::Ok {} };
    timeout(SOON, free).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_streams_at_once_and_aborts_the_rest_at_the_drain_timeout() {
    let options = GrpcOptions { grpc_drain_timeout_ms: 500, ..GrpcOptions::default() };
    let world = World::new(options).await;
    let stream = world.answer(WATCH, EMPTY, &[]).await;
    let shutdown = world.tasks.shutdown();
    let slow = world.call("/test.Test/Slow", EMPTY);
    let begun = Instant::now();
    let streamed = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        shutdown.request();
        let status = status_of(stream).await;
        (status, begun.elapsed())
    };
    let (slow, (streamed, streamed_after)) = tokio::join!(slow, streamed);
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(told(&streamed), expected);
    assert!(streamed_after < Duration::from_millis(400), "{streamed_after:?}");
    assert_eq!(told(&slow), expected);
    assert!(slow.get_error_details().retry_info().is_some());
    let World { tasks, channel, .. } = world;
    drop(channel);
    assert!(tasks.run(SOON).await.is_ok());
}

#[tokio::test]
async fn each_rpc_is_measured_by_method_and_code_and_made_up_names_are_not_labels() {
    let world = World::new(GrpcOptions::default()).await;
    world.call(CHECK, EMPTY).await;
    world.call("/made.up/Name", EMPTY).await;
    let mut text = String::new();
    encode(&mut text, &world.registry).unwrap();
    let counted = |service: &str, method: &str, code: i32| {
        let labels = format!(
            "rpc_service=\"{service}\",rpc_method=\"{method}\",rpc_grpc_status_code=\"{code}\""
        );
        text.contains(&format!("store_rpc_server_duration_seconds_count{{{labels}}} 1"))
    };
    assert!(counted("grpc.health.v1.Health", "Check", 0), "{text}");
    assert!(counted("unknown", "unknown", 12), "{text}");
    assert!(!text.contains("made.up"), "{text}");
}
