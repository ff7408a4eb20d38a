//! The chaos lab: callers put a load of orders on the real processes, a real PostgreSQL and a real Kafka while a schedule from a seed
//! breaks them; then everything heals and comes to rest, and the [auditor](crate::audit) holds every invariant against it.
//!
//! - [`workload`]: what callers do, and what they were told.
//! - [`faults`]: what is broken. A new one is a file there that implements [`Fault`], and a line in its list.
//! - [`Plan`] is a round: its seed and its faults. [`round()`] plays it and answers a [`Report`].
//! - [`run()`] is `lab chaos`: rounds one after the other, and of one that failed the smallest schedule that still fails.

mod command;
mod coverage;
mod crashes;
mod error;
pub mod faults;
mod keeping;
mod options;
mod plan;
mod relay;
mod report;
mod round;
mod shrink;
mod tally;
mod timeline;
pub mod workload;
mod world;

pub use command::run;
pub use coverage::Coverage;
pub use error::ChaosError;
pub use faults::{Fault, Lane, Struck};
pub use options::ChaosOptions;
pub use plan::{Plan, Strike, covering};
pub use relay::Relay;
pub use report::{Audited, Failure, Happened, Outcome, Report};
pub use round::round;
pub use shrink::shrink;
pub use world::World;
