//! The limits of a gRPC server, from flags and variables.

use std::{num::NonZeroU32, time::Duration};

use clap::Args;

/// The variable that a service takes its gRPC address from.
pub const GRPC_LISTEN: &str = "GRPC_LISTEN";

/// The limits of a gRPC server. The address is the service's own option, since its default is.
#[derive(Args, Clone, Debug)]
pub struct GrpcOptions {
    /// Deadline of an rpc whose caller sets none, in milliseconds
    #[arg(long, env = "GRPC_DEFAULT_TIMEOUT_MS", default_value_t = 5_000, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub grpc_default_timeout_ms: u64,
    /// Most rpcs at once; more are refused
    #[arg(long, env = "GRPC_MAX_CONCURRENT_REQUESTS", default_value_t = 1_024, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub grpc_max_concurrent_requests: u32,
    /// Most rpcs a second from one peer address; more are refused
    #[arg(
        long,
        env = "GRPC_MAX_REQUESTS_PER_SECOND",
        default_value = "20000",
        value_name = "COUNT"
    )]
    pub grpc_max_requests_per_second: NonZeroU32,
    /// How long rpcs may go on after a shutdown was requested, in milliseconds
    #[arg(long, env = "GRPC_DRAIN_TIMEOUT_MS", default_value_t = 8_000, value_name = "MS")]
    pub grpc_drain_timeout_ms: u64,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            grpc_default_timeout_ms: 5_000,
            grpc_max_concurrent_requests: 1_024,
            grpc_max_requests_per_second: NonZeroU32::MIN.saturating_add(19_999),
            grpc_drain_timeout_ms: 8_000,
        }
    }
}

impl GrpcOptions {
    pub(super) fn default_timeout(&self) -> Duration {
        Duration::from_millis(self.grpc_default_timeout_ms)
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.grpc_drain_timeout_ms)
    }
}
