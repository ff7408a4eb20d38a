//! The contract: the gRPC services and the events, compiled from the `.proto` files beside this crate, and by hand what
//! Protobuf cannot say: [typed ids](ids), [money] in minor units, and which [event](events) goes where.

pub mod events;
pub mod ids;
pub mod money;

pub use events::Event;
pub use generated::{google, store};
pub use ids::{IdError, OrderId, PaymentId, ProductId, UserId};
pub use money::{Currency, Money, MoneyError};

/// The descriptors of all files, with their imports and comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[allow(
    missing_docs,
    clippy::all,
    clippy::clone_on_ref_ptr,
    clippy::too_many_lines,
    reason = "generated"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}
