//! Errors that tonic made, and not our services, get what every error of ours has: exactly one `ErrorInfo`.
//!
//! tonic answers a request it cannot read with INTERNAL; but it is the caller who wrote it, so it becomes INVALID_ARGUMENT, and a
//! message over the size limit RESOURCE_EXHAUSTED.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tonic::{Code, Status};
use tracing::error;

use super::{
    body,
    status::{self, ErrorReason},
};

/// What tonic's messages about a request that it cannot read begin with (`tonic::codec::decode`, `tonic::server::Grpc`,
/// `prost::DecodeError`).
const MALFORMED: [&str; 6] = [
    "failed to decode Protobuf message",
    "protocol error:",
    "Error decompressing:",
    "Unexpected EOF decoding stream.",
    "Missing request message.",
    "h2 protocol error:",
];
const TOO_LARGE: &str = "Error, decoded message length too large:";

pub(super) async fn errors(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.headers().contains_key(Status::GRPC_STATUS) {
        complete(response.headers_mut());
        return response;
    }
    if !response.headers().contains_key(CONTENT_TYPE) {
        // Not an answer of tonic's at all; there is none such today.
        return status::into_response(status::unimplemented());
    }
    body::map_trailers(response, complete)
}

/// Completes the status in `headers`, if it is an error without details.
fn complete(headers: &mut HeaderMap) {
    if headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return;
    }
    let Some(bare) = Status::from_header_map(headers) else { return };
    if bare.code() == Code::Ok {
        return;
    }
    let status = completed(&bare);
    headers.remove(Status::GRPC_MESSAGE);
    headers.remove(CONTENT_LENGTH);
    if let Err(source) = status.add_header(headers) {
        error!(error = %source, "a status cannot be written as headers");
    }
}

fn completed(bare: &Status) -> Status {
    let (code, message) = (bare.code(), bare.message());
    let failed = matches!(code, Code::Internal | Code::Unknown);
    if failed && MALFORMED.iter().any(|begin| message.starts_with(begin)) {
        status::malformed(message)
    } else if failed {
        error!(error = message, "rpc failed without a reason");
        status::internal_without_cause()
    } else if code == Code::OutOfRange && message.starts_with(TOO_LARGE) {
        status::too_large(message)
    } else if code == Code::Unimplemented && message.is_empty() {
        status::unimplemented()
    } else {
        status::bare(code, message, ErrorReason::store(status::name(code)))
    }
}
