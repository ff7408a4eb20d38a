//! The SQL, one module a table. It reads and writes what it is told and decides nothing.

pub(crate) mod order_lines;
pub(crate) mod order_refusals;
pub(crate) mod order_states;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod seeds;
pub(crate) mod stock;
pub(crate) mod users;

use proto::{Currency, Money};

/// Puts an amount together again. The CHECKs of the tables let only currencies in.
fn money(amount_minor: i64, currency: &str) -> sqlx::Result<Money> {
    let currency: Currency =
        currency.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Money::new(amount_minor, currency))
}
