//! What became of the orders of a store.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{LostWindowError, Outcome};
use crate::{
    audit::{Sources, at_rest, audit},
    campaign::Delivery,
    naive,
};

/// How many orders came to what. An order may be in several lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders that are committed.
    pub orders: i64,
    /// Of which an event is committed and not on Kafka.
    pub lost: i64,
    /// Which will never end: nobody is going to do the next step.
    pub stuck: i64,
    /// For which the provider has charged more than once.
    pub charged_twice: i64,
    /// Which are completed, paid, and charged once, with no event lost.
    pub well: i64,
    /// Units of stock that are neither on hand nor taken by an order.
    pub missing_units: i64,
}

/// Where a store's things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Books<'a> {
    pub(super) orders: &'a str,
    pub(super) payments: &'a str,
    pub(super) brokers: &'a str,
}

/// An order as its database has it.
#[derive(sqlx::FromRow)]
struct Order {
    order_id: Uuid,
    state: String,
    is_paid: bool,
}

impl Books<'_> {
    /// All units, on hand or taken.
    pub(super) async fn units(self) -> Result<i64, LostWindowError> {
        let mut connection = PgConnection::connect(self.orders).await?;
        let units = sqlx::query_scalar(
            "SELECT (
                 (SELECT sum(quantity) FROM store_manager.stock)
                 + (SELECT coalesce(sum(quantity), 0)
                    FROM store_manager.order_lines JOIN store_manager.orders USING (order_id)
                    WHERE stock_taken)
             )::bigint",
        );
        Ok(units.fetch_one(&mut connection).await?)
    }

    /// Counts once all is at rest or `patience` is over, where there were `units` at the start, and has the auditor look.
    pub(super) async fn judge(
        self,
        units: i64,
        patience: Duration,
    ) -> Result<Outcome, LostWindowError> {
        let snapshot = at_rest(&self.sources(), patience).await?.snapshot;
        let tally = self.count(units).await?;
        Ok(Outcome { tally, verdicts: audit(&snapshot, None, Delivery::AtLeastOnce) })
    }

    /// Waits until nothing moves any more.
    pub(super) async fn rest(self, patience: Duration) -> Result<(), LostWindowError> {
        match at_rest(&self.sources(), patience).await?.still_moves.first() {
            None => Ok(()),
            Some(motion) => {
                let what = format!("rest: {motion}");
                Err(LostWindowError::Never { what, seconds: patience.as_secs() })
            }
        }
    }

    fn sources(self) -> Sources {
        Sources {
            store_manager: self.orders.to_owned(),
            payments: self.payments.to_owned(),
            brokers: self.brokers.to_owned(),
        }
    }

    async fn count(self, units: i64) -> Result<Tally, LostWindowError> {
        let mut connection = PgConnection::connect(self.orders).await?;
        let orders: Vec<Order> =
            sqlx::query_as("SELECT order_id, state, is_paid FROM store_manager.orders")
                .fetch_all(&mut connection)
                .await?;
        let lost = self.lost().await?;
        let charges = self.charges().await?;
        let charged = |order: &Order| charges.get(&order.order_id).copied().unwrap_or(0);
        let count = |is: &dyn Fn(&Order) -> bool| {
            i64::try_from(orders.iter().filter(|order| is(order)).count()).unwrap_or(i64::MAX)
        };
        let is_lost = |order: &Order| lost.contains(&order.order_id.to_string());
        let has_ended = |order: &Order| {
            matches!(order.state.as_str(), "COMPLETED" | "CANCELLED" | "NEEDS_ATTENTION")
        };
        Ok(Tally {
            orders: count(&|_| true),
            lost: count(&is_lost),
            stuck: count(&|order| !has_ended(order)),
            charged_twice: count(&|order| charged(order) > 1),
            well: count(&|order| {
                order.state == "COMPLETED"
                    && order.is_paid
                    && charged(order) == 1
                    && !is_lost(order)
            }),
            missing_units: units - self.units().await?,
        })
    }

    /// The keys of events that are committed and not on Kafka.
    async fn lost(self) -> Result<HashSet<String>, LostWindowError> {
        let published = naive::published(self.brokers).await?;
        let mut lost = HashSet::new();
        for url in [self.orders, self.payments] {
            let mut connection = PgConnection::connect(url).await?;
            let rows: Vec<(Uuid, String)> =
                sqlx::query_as("SELECT id, aggregateid FROM messaging.outbox")
                    .fetch_all(&mut connection)
                    .await?;
            let unseen = rows.into_iter().filter(|(id, _)| !published.contains(id));
            lost.extend(unseen.map(|(_, key)| key));
        }
        Ok(lost)
    }

    /// How often the provider has charged for each order.
    async fn charges(self) -> Result<BTreeMap<Uuid, i64>, LostWindowError> {
        let mut connection = PgConnection::connect(self.payments).await?;
        let charges: Vec<(Uuid, i64)> = sqlx::query_as(
            "SELECT order_id, count(*) FROM simulated_provider.ledger
             WHERE kind = 'captured'
             GROUP BY order_id",
        )
        .fetch_all(&mut connection)
        .await?;
        Ok(charges.into_iter().collect())
    }
}

impl Tally {
    /// Whether each order is well, and all stock is where it should be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.well == self.orders && self.missing_units == 0
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "orders": self.orders,
            "lost_an_event": self.lost,
            "stuck": self.stuck,
            "charged_twice": self.charged_twice,
            "well": self.well,
            "missing_units": self.missing_units,
        })
    }
}
