//! The auditor: reads both databases, all topics and all dead letters of a system at rest, and holds the
//! [invariants](crate::invariants) against them and against what callers were told.
//!
//! ```no_run
//! # async fn test(system: &lab::system::System) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use lab::{
//!     audit::{Sources, at_rest, audit},
//!     campaign::Delivery,
//! };
//!
//! let rest = at_rest(&Sources::from(system), Duration::from_secs(60)).await?;
//! for verdict in audit(&rest.snapshot, None, Delivery::AtLeastOnce) {
//!     println!("{verdict}");
//! }
//! # Ok(()) }
//! ```

mod announced;
mod command;
mod databases;
mod error;
mod rest;
mod snapshot;
mod sources;
mod states;
mod topics;
mod verdict;

use crate::{campaign::Delivery, history::History, invariants};

pub use announced::{Content, INJECTED, Record, Row};
pub use command::{AuditOptions, run};
pub use error::AuditError;
pub use rest::{Motion, Rest, at_rest, motions};
pub use snapshot::{
    Handled, LedgerEntry, Order, OrderLine, Owner, Payment, Position, ReachedState, Refusal,
    Snapshot, Stock,
};
pub use sources::Sources;
pub use states::{LedgerKind, OrderState, PaymentState};
pub use verdict::{Evidence, Findings, Verdict, Violation};

/// Holds every invariant against `snapshot`, and against `history` if there is one, which then has all calls since its first. Of a
/// system that has dropped its beginnings none can be told to hold.
#[must_use]
pub fn audit(snapshot: &Snapshot, history: Option<&History>, delivery: Delivery) -> Vec<Verdict> {
    let evidence = Evidence { snapshot, history, delivery };
    let judge = |&(invariant, _, check): &(_, _, invariants::Check)| {
        let Findings { counted, violations } = check(&evidence);
        Verdict { invariant, counted, violations, limits: snapshot.lost_beginnings.clone() }
    };
    invariants::ALL.iter().map(judge).collect()
}
