//! The contract's promises that a build alone does not show.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
