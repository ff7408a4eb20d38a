//! The whole system on one machine: a real PostgreSQL and a real Apache Kafka, the services' own binaries, and what
//! tests and `lab up` do with them.

// A reader may go away: `output::say` tells so, where `println!` would panic.
#![warn(clippy::print_stdout)]

pub mod audit;
pub mod bench;
pub mod campaign;
pub mod chaos;
pub mod history;
pub mod invariants;
pub mod links;
pub mod lost_window;
pub mod naive;
pub mod output;
pub mod processes;
pub mod queries;
pub mod signals;
pub mod stack;
pub mod system;
pub mod tap;
pub mod up;
