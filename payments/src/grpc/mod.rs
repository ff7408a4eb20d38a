//! What callers see: `store.payments.v1`. [`request`] reads what comes in, [`status`] alone picks codes.

mod payments;
pub mod reason;
mod request;
mod status;

pub use payments::PaymentsGrpc;
