//! Which code and which reason each failure is told with; the only place that picks them.

use std::{error::Error, time::Duration};

use messaging::{
    failure::{Class, classify},
    requests::RequestError,
};
use proto::PaymentId;
use runtime::grpc::{
    request::InvalidRequest,
    status::{self, ErrorReason, FieldViolation, PreconditionViolation},
};
use tonic::Status;
use tracing::error;

use super::reason;
use crate::{
    commands::ProcessPaymentError,
    domain::IllegalTransition,
    queries::{GetPaymentError, PaymentKey},
};

const PAYMENT: &str = "store.payments.v1.Payment";
const RETRY_AFTER: Duration = Duration::from_secs(1);
const QUERY_CANCELED: &str = "57014";

/// Wrong fields, all of them.
pub(super) fn invalid(InvalidRequest(violations): InvalidRequest) -> Status {
    status::invalid_argument(because(reason::INVALID_REQUEST), violations)
}

pub(super) fn process_payment(error: ProcessPaymentError) -> Status {
    match error {
        ProcessPaymentError::NoSuchPayment(payment_id) => {
            not_found(PaymentKey::Payment(payment_id))
        }
        ProcessPaymentError::NotPending { payment_id, source } => not_pending(payment_id, source),
        ProcessPaymentError::Request(RequestError::Reused) => reused(),
        ProcessPaymentError::Request(RequestError::Store(source))
        | ProcessPaymentError::Store(source) => store(&source),
        ProcessPaymentError::Request(error @ RequestError::Answer(_)) => status::internal(&error),
    }
}

pub(super) fn get_payment(error: GetPaymentError) -> Status {
    match error {
        GetPaymentError::NoSuchPayment(key) => not_found(key),
        GetPaymentError::Store(source) => store(&source),
    }
}

/// The database failed: whether to try again is all that the caller is told.
pub(super) fn store(source: &sqlx::Error) -> Status {
    let refusal = source.as_database_error();
    if refusal.is_some_and(|refusal| refusal.code().as_deref() == Some(QUERY_CANCELED)) {
        return status::deadline_exceeded();
    }
    match classify(source) {
        Class::Transient | Class::Contention => {
            error!(error = source as &dyn Error, "the database does not answer or is busy");
            let message = "the database does not answer or is busy; try again";
            status::unavailable(because(reason::DATABASE_UNAVAILABLE), message, RETRY_AFTER)
        }
        Class::Suspect | Class::Permanent => status::internal(source),
    }
}

fn because(reason: &'static str) -> ErrorReason {
    ErrorReason::new(reason::DOMAIN, reason)
}

fn not_found(key: PaymentKey) -> Status {
    let reason = because(reason::PAYMENT_NOT_FOUND);
    let reason = match key {
        PaymentKey::Payment(payment_id) => reason.metadata("payment_id", payment_id),
        PaymentKey::Order(order_id) => reason.metadata("order_id", order_id),
    };
    status::not_found(reason, PAYMENT, key)
}

fn not_pending(payment_id: PaymentId, source: IllegalTransition) -> Status {
    let reason = because(reason::PAYMENT_NOT_PENDING)
        .metadata("payment_id", payment_id)
        .metadata("state", source.state);
    let message = format!("payment {payment_id} is {}, not pending", source.state);
    let violation = PreconditionViolation::new("STATE", payment_id.to_string(), &message);
    status::failed_precondition(reason, message, vec![violation])
}

fn reused() -> Status {
    let violation = FieldViolation::new("request_id", "was used with another request");
    status::invalid_argument(because(reason::REQUEST_ID_REUSED), vec![violation])
}
