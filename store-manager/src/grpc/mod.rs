//! What callers see: one file a service of the contract. [`request`] has what reading requests shares, [`status`] alone picks
//! codes, [`reason`] names the reasons.

mod orders;
mod products;
pub mod reason;
mod request;
mod status;
mod stock;
mod users;

use proto::Currency;
use sqlx::PgPool;

pub use orders::OrdersGrpc;
pub use products::ProductsGrpc;
pub use stock::StockGrpc;
pub use users::UsersGrpc;

use crate::{metrics::Metrics, watches::Watches};

/// What every rpc works with.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The service's own database.
    pub pool: PgPool,
    /// In which everything is sold.
    pub currency: Currency,
    /// Who waits for orders in this process.
    pub watches: Watches,
    /// What is counted.
    pub metrics: Metrics,
}
