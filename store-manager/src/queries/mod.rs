//! What callers can ask: reads of this service's own database, none of which changes anything.

mod orders;
mod products;
mod stock;
mod users;
mod watch_order;

pub(crate) use orders::{get_order, list_orders};
pub(crate) use products::{get_product, list_products};
pub(crate) use stock::{get_stock, list_stock};
pub(crate) use users::{get_user, list_users};
pub(crate) use watch_order::{WatchOrderError, answers, watch_order};
