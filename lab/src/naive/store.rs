//! The tiny store's process.

use std::net::SocketAddr;

use proto::{Event, store};
use rdkafka::{ClientConfig, producer::FutureProducer};
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::{
    Armed, Flaw, NaiveError, Place, announcement::Announcement, consumer, flaw::Role,
    places::Places, relay::Relay, server,
};

const ORDERS: &str = <store::orders::events::v1::OrderEvent as Event>::TOPIC;
const STOCK: &str = <store::stock::events::v1::StockEvent as Event>::TOPIC;
const PAYMENTS: &str = <store::payments::events::v1::PaymentEvent as Event>::TOPIC;

/// The topics that a role reads.
pub(super) fn topics_of(role: Role) -> &'static [&'static str] {
    match role {
        Role::Orders => &[ORDERS, STOCK, PAYMENTS],
        Role::Payments => &[ORDERS, STOCK],
    }
}

/// How a tiny store is started.
#[derive(Clone, Debug, clap::Args)]
pub struct NaiveOptions {
    /// What is wrong with it.
    #[arg(long, value_enum)]
    pub flaw: Flaw,
    /// The database of orders and stock.
    #[arg(long)]
    pub orders: String,
    /// The database of payments.
    #[arg(long)]
    pub payments: String,
    /// Kafka.
    #[arg(long)]
    pub brokers: String,
    /// Where callers call.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Totals above this are refused by the provider.
    #[arg(long, default_value_t = i64::MAX)]
    pub decline_above_minor: i64,
    /// Where it dies, and with which order: PLACE@ORDER.
    #[arg(long)]
    pub die_at: Option<Armed>,
    /// Where the first to come by waits until the lab lets it go on.
    #[arg(long, value_enum)]
    pub wait_at: Option<Place>,
}

/// What all parts of the process share.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) flaw: Flaw,
    pub(super) brokers: String,
    pub(super) decline_above_minor: i64,
    pub(super) places: std::sync::Arc<Places>,
    orders: PgPool,
    payments: PgPool,
    producer: FutureProducer,
}

impl Store {
    async fn open(options: &NaiveOptions) -> Result<Self, NaiveError> {
        let orders = pool(&options.orders).await?;
        let payments = pool(&options.payments).await?;
        let places = Places::new(options.die_at, options.wait_at, orders.clone());
        Ok(Self {
            flaw: options.flaw,
            brokers: options.brokers.clone(),
            decline_above_minor: options.decline_above_minor,
            places: places.into(),
            orders,
            payments,
            producer: producer(&options.brokers)?,
        })
    }

    /// The database of a role.
    pub(super) fn pool(&self, role: Role) -> &PgPool {
        match role {
            Role::Orders => &self.orders,
            Role::Payments => &self.payments,
        }
    }

    /// After the commit: events go out here, if they do not by the relay.
    pub(super) async fn announce(&self, announcements: &[Announcement]) -> Result<(), NaiveError> {
        if self.flaw.publishes_itself() {
            for announcement in announcements {
                announcement.publish(&self.producer).await?;
            }
        }
        Ok(())
    }

    async fn relay(&self) -> Result<(), NaiveError> {
        if self.flaw.publishes_itself() {
            return std::future::pending().await;
        }
        let pools = [&self.orders, &self.payments];
        Relay::new(pools, &self.producer, &self.brokers).await?.run().await
    }
}

/// Serves callers, handles events and relays the outbox, until it is killed.
///
/// # Errors
/// If any of them fails: a tiny store has no patience.
pub async fn run(options: NaiveOptions) -> Result<(), NaiveError> {
    let store = Store::open(&options).await?;
    tokio::try_join!(
        server::serve(&store, options.listen),
        consumer::run(&store, Role::Orders),
        consumer::run(&store, Role::Payments),
        store.relay(),
    )?;
    Ok(())
}

pub(super) async fn pool(url: &str) -> sqlx::Result<PgPool> {
    PgPoolOptions::new().max_connections(6).connect(url).await
}

/// A producer that puts keys where the relay's does.
pub(super) fn producer(brokers: &str) -> Result<FutureProducer, NaiveError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
    Ok(config.set("partitioner", "murmur2_random").set("linger.ms", "0").create()?)
}
