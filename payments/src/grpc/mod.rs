//! What callers see: `store.payments.v1`. [`request`] reads what comes in, [`status`] alone picks codes.

pub mod payments;
mod request;
pub mod status;

pub use payments::PaymentsGrpc;
