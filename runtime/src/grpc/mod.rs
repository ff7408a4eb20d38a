//! The gRPC server and the layers around every rpc. A call comes in, and passes, from the outside to the inside:
//!
//! | Layer | Does |
//! |---|---|
//! | `span` | a server span, child of the caller's `traceparent` |
//! | `metrics` | duration by service, method and code |
//! | `errors` | each error gets its `ErrorInfo`; a malformed request is the caller's fault |
//! | `panics` | a panic is logged and answered as INTERNAL |
//! | `rate` | too many requests of one peer: RESOURCE_EXHAUSTED with `RetryInfo` |
//! | `concurrency` | too many at once: RESOURCE_EXHAUSTED with `RetryInfo` |
//! | `deadline` | `grpc-timeout`, or the default; none for streams unless the caller sets one; ends streams on shutdown |
//!
//! Which methods exist, and which are streams, is read from the descriptor sets. A message over 4 MiB is refused by tonic's own
//! default and answered as RESOURCE_EXHAUSTED.

mod body;
mod concurrency;
pub mod deadline;
mod errors;
mod methods;
mod metrics;
mod options;
pub mod page;
mod panics;
mod rate;
pub mod request;
mod server;
mod span;
pub mod status;

pub use options::{GRPC_LISTEN, GrpcOptions};
pub use server::{GrpcError, GrpcServer};
