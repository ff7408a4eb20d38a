//! The services' own binaries, built if need be and started as processes that can be killed, frozen and started again.

mod build;
pub(crate) mod http;
mod program;
mod service;

pub(crate) use build::cargo;
pub use build::{BuildError, build};
pub use program::Program;
pub use service::{Service, ServiceOptions};
