//! The places at which a store dies or waits, because it was told to: nothing is left to timing.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use sqlx::PgPool;
use uuid::Uuid;

/// What a store that was told to wait waits for: an advisory lock of the orders' database, whose number nobody else uses.
pub(super) const HELD: i64 = 0x6e61_6976;

/// A place of the road.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Place {
    /// An order is committed; nobody has been told, neither Kafka nor the caller.
    OrderCommitted,
    /// The stock of an order is taken and committed; Kafka has not been told, and the offset has not moved.
    StockCommitted,
    /// The same of a payment.
    PaymentCommitted,
    /// Only where the offset comes first: that of OrderCreated has moved, and its transaction has not begun.
    StockOffset,
    /// The same of StockDecreased and the payment.
    PaymentOffset,
    /// An adjustment of the stock is appended to the outbox; the stock is not written yet.
    AdjustmentAppended,
}

impl Place {
    /// As `--die-at` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OrderCommitted => "order-committed",
            Self::StockCommitted => "stock-committed",
            Self::PaymentCommitted => "payment-committed",
            Self::StockOffset => "stock-offset",
            Self::PaymentOffset => "payment-offset",
            Self::AdjustmentAppended => "adjustment-appended",
        }
    }
}

/// A place, and the order that is to come by there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Where.
    pub place: Place,
    /// Which order.
    pub order_id: Uuid,
}

/// Why a text is no armed place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not PLACE@ORDER")]
pub struct UnknownPlace(String);

impl fmt::Display for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.place.name(), self.order_id)
    }
}

impl FromStr for Armed {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        let parsed = text.split_once('@').and_then(|(name, order)| {
            let place = <Place as clap::ValueEnum>::from_str(name, false).ok()?;
            Some(Self { place, order_id: order.parse().ok()? })
        });
        parsed.ok_or_else(|| UnknownPlace(text.to_owned()))
    }
}

/// What happens at the places of this process.
#[derive(Debug)]
pub(super) struct Places {
    dies_at: Option<Armed>,
    waits_at: Option<Place>,
    waited: AtomicBool,
    pool: PgPool,
}

impl Places {
    /// `pool` is the orders' database.
    pub(super) fn new(dies_at: Option<Armed>, waits_at: Option<Place>, pool: PgPool) -> Self {
        Self { dies_at, waits_at, waited: AtomicBool::new(false), pool }
    }

    /// An order, or whatever the id is of, comes by a place: the process dies there if it was told to, and if it was told to
    /// wait, the first to come waits for [`HELD`].
    pub(super) async fn pass(&self, place: Place, order_id: Uuid) -> sqlx::Result<()> {
        if self.dies_at == Some(Armed { place, order_id }) {
            die();
        }
        if self.waits_at == Some(place) && !self.waited.swap(true, Ordering::SeqCst) {
            let mut transaction = self.pool.begin().await?;
            let wait = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(HELD);
            wait.execute(&mut *transaction).await?;
        }
        Ok(())
    }
}

/// Ends this process as `kill -9` does: nothing is flushed, nothing said.
fn die() -> ! {
    // A signal to oneself that cannot be blocked; it is delivered before or while this thread waits.
    let _ = signal::kill(Pid::this(), Signal::SIGKILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let armed = Armed { place: Place::PaymentOffset, order_id: Uuid::from_u128(7) };
        assert_eq!(armed.to_string().parse(), Ok(armed));
        for wrong in ["", "nowhere", "stock-committed", "stock-committed@7"] {
            assert_eq!(wrong.parse::<Armed>(), Err(UnknownPlace(wrong.to_owned())));
        }
    }
}
