//! The reasons of this service's errors, in the domain `payments`. `docs/errors.md` lists them.

/// The domain.
pub const DOMAIN: &str = "payments";

/// Fields are wrong, each named.
pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// The request id was used with another request.
pub const REQUEST_ID_REUSED: &str = "REQUEST_ID_REUSED";
/// There is no such payment.
pub const PAYMENT_NOT_FOUND: &str = "PAYMENT_NOT_FOUND";
/// Only a pending payment can be processed.
pub const PAYMENT_NOT_PENDING: &str = "PAYMENT_NOT_PENDING";
/// The database does not answer, or is busy.
pub const DATABASE_UNAVAILABLE: &str = "DATABASE_UNAVAILABLE";
