//! The whole system on one machine: a real PostgreSQL and a real Apache Kafka, the services' own binaries, and what
//! tests and `lab up` do with them.

pub mod bench;
pub mod campaign;
pub mod invariants;
pub mod processes;
pub mod queries;
pub mod signals;
pub mod stack;
pub mod system;
pub mod tap;
pub mod up;
