//! Errors after AIP-193: each has exactly one `ErrorInfo` and, by its code, what else a caller needs.
//!
//! A service's own `grpc/status.rs` picks the reasons; here is what the codes have in common:
//! ```
//! use runtime::grpc::status::{self, ErrorReason};
//! let reason = ErrorReason::new("payments", "PAYMENT_NOT_FOUND").metadata("payment_id", "42");
//! let status = status::not_found(reason, "store.payments.v1.Payment", "42");
//! assert_eq!(status.code(), tonic::Code::NotFound);
//! ```

use std::{collections::HashMap, error::Error, time::Duration};

use axum::{body::Body, response::Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::error;

pub use tonic_types::{FieldViolation, PreconditionViolation};

use crate::tasks::with_causes;

/// The domain of the reasons that are not one service's own.
pub const DOMAIN: &str = "store";
pub(super) const INTERNAL_MESSAGE: &str = "internal error";
/// An error travels in HTTP/2 trailers, of which many clients take 8 KiB and no more: they would see another error instead.
const MAX_VIOLATION_BYTES: usize = 4_096;
const VIOLATION_FRAMING: usize = 8;
const MAX_FIELDS_IN_MESSAGE: usize = 5;
const SHUTDOWN_RETRY: Duration = Duration::from_secs(1);

/// Why, for programs: a reason `[A-Z][A-Z0-9_]+` that never changes, unique in its domain, and all that varies as metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReason {
    domain: &'static str,
    reason: &'static str,
    metadata: HashMap<String, String>,
}

impl ErrorReason {
    /// A reason of a service.
    #[must_use]
    pub fn new(domain: &'static str, reason: &'static str) -> Self {
        Self { domain, reason, metadata: HashMap::new() }
    }

    /// A reason that all services have, in [`DOMAIN`].
    #[must_use]
    pub fn store(reason: &'static str) -> Self {
        Self::new(DOMAIN, reason)
    }

    /// Adds what varies.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.metadata.insert(key.into(), value.to_string());
        self
    }

    fn details(self) -> ErrorDetails {
        ErrorDetails::with_error_info(self.reason, self.domain, self.metadata)
    }
}

/// INVALID_ARGUMENT with all the wrong fields, as far as they fit into what clients read; the message tells their number.
#[must_use]
pub fn invalid_argument(reason: ErrorReason, mut violations: Vec<FieldViolation>) -> Status {
    let count = violations.len();
    let mut bytes = 0;
    violations.retain(|violation| {
        bytes += violation.field.len() + violation.description.len() + VIOLATION_FRAMING;
        bytes <= MAX_VIOLATION_BYTES
    });
    let mut fields: Vec<_> = violations
        .iter()
        .take(MAX_FIELDS_IN_MESSAGE)
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect();
    if count > fields.len() {
        fields.push(format!("and {} more", count - fields.len()));
    }
    let mut details = reason.details();
    details.set_bad_request(violations);
    let message = format!("invalid request: {}", fields.join("; "));
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// FAILED_PRECONDITION with what is not so: of type (`STATE`, …), subject (the resource's name) and description.
#[must_use]
pub fn failed_precondition(
    reason: ErrorReason,
    message: impl Into<String>,
    violations: Vec<PreconditionViolation>,
) -> Status {
    let mut details = reason.details();
    details.set_precondition_failure(violations);
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// NOT_FOUND of the resource `name`, whose type is a message's full name.
#[must_use]
pub fn not_found(reason: ErrorReason, resource_type: &str, name: impl ToString) -> Status {
    let name = name.to_string();
    let kind = resource_type.rsplit('.').next().unwrap_or(resource_type).to_lowercase();
    let message = format!("there is no {kind} {name}");
    resource(Code::NotFound, reason, message, resource_type, name)
}

/// ALREADY_EXISTS of the resource `name`, whose type is a message's full name.
#[must_use]
pub fn already_exists(reason: ErrorReason, resource_type: &str, name: impl ToString) -> Status {
    let name = name.to_string();
    let kind = resource_type.rsplit('.').next().unwrap_or(resource_type).to_lowercase();
    let message = format!("there is a {kind} {name} already");
    resource(Code::AlreadyExists, reason, message, resource_type, name)
}

fn resource(code: Code, reason: ErrorReason, message: String, kind: &str, name: String) -> Status {
    let mut details = reason.details();
    details.set_resource_info(kind, name, "", message.clone());
    Status::with_error_details(code, message, details)
}

/// RESOURCE_EXHAUSTED until `retry_after`.
#[must_use]
pub fn resource_exhausted(
    reason: ErrorReason,
    message: impl Into<String>,
    retry_after: Duration,
) -> Status {
    retry(Code::ResourceExhausted, reason, message, retry_after)
}

/// UNAVAILABLE: the same request may well succeed after `retry_after`.
#[must_use]
pub fn unavailable(
    reason: ErrorReason,
    message: impl Into<String>,
    retry_after: Duration,
) -> Status {
    retry(Code::Unavailable, reason, message, retry_after)
}

/// ABORTED: another request got in between; the caller may begin again after `retry_after`.
#[must_use]
pub fn aborted(reason: ErrorReason, message: impl Into<String>, retry_after: Duration) -> Status {
    retry(Code::Aborted, reason, message, retry_after)
}

fn retry(code: Code, reason: ErrorReason, message: impl Into<String>, after: Duration) -> Status {
    let mut details = reason.details();
    details.set_retry_info(Some(after));
    Status::with_error_details(code, message, details)
}

/// INTERNAL: logs the error with its causes, and tells the caller nothing of it.
#[must_use]
pub fn internal(error: &(dyn Error + 'static)) -> Status {
    error!(error = with_causes(error), "rpc failed");
    internal_without_cause()
}

pub(super) fn internal_without_cause() -> Status {
    bare(Code::Internal, INTERNAL_MESSAGE, ErrorReason::store("INTERNAL"))
}

/// DEADLINE_EXCEEDED, as the deadline layer answers.
#[must_use]
pub fn deadline_exceeded() -> Status {
    let reason = ErrorReason::store("DEADLINE_EXCEEDED");
    bare(Code::DeadlineExceeded, "the deadline passed before the answer was ready", reason)
}

pub(super) fn shutting_down() -> Status {
    let reason = ErrorReason::store("SHUTTING_DOWN");
    unavailable(reason, "the server is shutting down", SHUTDOWN_RETRY)
}

pub(super) fn malformed(message: &str) -> Status {
    let reason = ErrorReason::store("MALFORMED_REQUEST");
    bare(Code::InvalidArgument, &format!("the request cannot be read: {message}"), reason)
}

/// No `RetryInfo`: the same message will be too large again.
pub(super) fn too_large(message: &str) -> Status {
    bare(Code::ResourceExhausted, message, ErrorReason::store("MESSAGE_TOO_LARGE"))
}

pub(super) fn unimplemented() -> Status {
    let reason = ErrorReason::store("UNIMPLEMENTED");
    bare(Code::Unimplemented, "there is no such method", reason)
}

/// A status with nothing but its reason.
pub(super) fn bare(code: Code, message: &str, reason: ErrorReason) -> Status {
    Status::with_error_details(code, message, reason.details())
}

pub(super) fn into_response(status: Status) -> Response {
    status.into_http::<Body>()
}

/// The code's name as the gRPC specification writes it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_reason_and_what_its_code_needs() {
        let reason = || ErrorReason::new("payments", "WHY").metadata("state", "paid");
        let violation = FieldViolation::new("quantity", "must be positive");
        let invalid = invalid_argument(reason(), vec![violation]);
        assert_eq!(invalid.message(), "invalid request: quantity: must be positive");
        assert_eq!(invalid.get_error_details().bad_request().unwrap().field_violations.len(), 1);
        let missing = not_found(reason(), "store.payments.v1.Payment", 7);
        assert_eq!(missing.message(), "there is no payment 7");
        assert_eq!(missing.get_error_details().resource_info().unwrap().resource_name, "7");
        let busy = unavailable(reason(), "busy", Duration::from_secs(2));
        let delay = busy.get_error_details().retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_secs(2)));
        for status in [invalid, missing, busy, failed_precondition(reason(), "paid", Vec::new())] {
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((info.domain.as_str(), info.reason.as_str()), ("payments", "WHY"));
            assert_eq!(info.metadata["state"], "paid");
        }
    }

    #[test]
    fn an_error_with_many_wrong_fields_stays_readable_for_every_client() {
        let violation = |line| FieldViolation::new(format!("lines[{line}].id"), "x".repeat(80));
        let status = invalid_argument(ErrorReason::store("WHY"), (0..200).map(violation).collect());
        assert!(status.message().ends_with("; and 195 more"), "{}", status.message());
        assert!(status.details().len() * 4 / 3 + status.message().len() < 8_000);
        assert!(status.get_error_details().bad_request().unwrap().field_violations.len() > 30);
    }

    #[test]
    fn an_internal_error_tells_the_caller_nothing() {
        let status = internal(&std::io::Error::other("password"));
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "INTERNAL");
    }
}
