//! The lab itself: that its stack starts, breaks on demand, comes back, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod leftovers;
mod messages;
mod servers;
