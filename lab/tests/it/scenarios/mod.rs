//! What must hold, through the public gRPC API over real PostgreSQL, real Kafka and the real processes.

mod callers;
mod crashes;
mod deliveries;
mod fail_points;
mod outages;
mod outcomes;
mod shop;

pub(crate) use shop::{ADA, PATIENCE, Shop, order_of, product};
