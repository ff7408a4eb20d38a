//! The relay campaign: writers, a relay that dies where and when a seed says, and what then stands on Kafka held against what was
//! committed.
//!
//! A round has a database and topics of its own. Several writers append events to one outbox, with locks on their keys,
//! savepoints, roll-backs, prepared and long transactions. A relay publishes them; a fault befalls it. The writers go on at least
//! until it has happened. Then everything comes to rest, the relay is stopped, and [`crate::invariants`] are checked.
//!
//! - [`round()`]: one round, of the relay or of one of the [`Variant`]s that are broken on purpose.
//! - [`soak()`] plays many.

mod arena;
mod course;
mod delivery;
mod error;
mod fault;
mod lives;
mod operator;
mod place;
mod records;
mod relay;
mod report;
mod round;
mod script;
mod sitters;
mod soak;
mod variants;
mod writers;

pub use arena::Arena;
pub use delivery::Delivery;
pub use error::RoundError;
pub use fault::{FailPoint, Fault, POINTS, UnknownFault};
pub use report::{Finding, Report, Summary};
pub use round::{Plan, Subject, round};
pub(crate) use script::random;
pub use soak::{SoakOptions, rounds, soak};
pub use variants::Variant;

pub(crate) use records::read as read_records;
