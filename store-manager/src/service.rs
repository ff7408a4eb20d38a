//! The service put together: [`Service::build`] connects and binds, [`Service::run`] serves until told to stop.

use std::sync::Arc;

use futures::future::BoxFuture;
use messaging::{Consumer, ConsumerMetrics, ConsumerOptions, ConsumerStatus, partitions, topics};
use proto::{
    Currency,
    store::{
        catalog::v1::product_service_server::{self, ProductServiceServer},
        orders::v1::order_service_server::{self, OrderServiceServer},
        stock::v1::stock_service_server::{self, StockServiceServer},
        users::v1::user_service_server::{self, UserServiceServer},
    },
};
use runtime::{
    BindError, TaskError, Tasks,
    addresses::{self, Addresses, AddressesError},
    admin::{AdminServer, Health, HealthReport},
    fail_points,
    grpc::GrpcServer,
    metrics::Registry,
    postgres::{self, ConnectError},
    shutdown,
};
use serde_json::json;
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
};
use tonic::service::Routes;

use crate::{
    config::{Config, SweeperOptions},
    grpc::{OrdersGrpc, ProductsGrpc, Shared, StockGrpc, UsersGrpc},
    handlers::{self, Handlers},
    metrics::Metrics,
    seed, sweeper,
    watches::Watches,
};

/// The service's name: its consumer group, what the database sees, and the source of its events.
pub const NAME: &str = "store-manager";

static MIGRATOR: Migrator = sqlx::migrate!();

const SERVICES: [&str; 4] = [
    order_service_server::SERVICE_NAME,
    stock_service_server::SERVICE_NAME,
    product_service_server::SERVICE_NAME,
    user_service_server::SERVICE_NAME,
];

/// Brings the schemas of a database up to date and loads the seed data, unless that was done before.
///
/// # Errors
/// What the migrator or the database says.
pub async fn migrate(pool: &PgPool, currency: Currency) -> Result<(), MigrateError> {
    messaging::migrate::run(pool).await?;
    MIGRATOR.run(pool).await?;
    Ok(seed::seed(pool, currency).await?)
}

/// Creates the topics that store-manager writes: its events, and the dead letters of what it reads.
///
/// # Errors
/// If Kafka is not reached or refuses.
pub async fn create_topics(brokers: &str) -> Result<(), topics::CreateTopicsError> {
    let mut wanted = topics::dead_letters(NAME, handlers::TOPICS);
    wanted.extend([topics::ORDERS, topics::STOCK, topics::PRODUCTS, topics::USERS]);
    topics::create(brokers, &wanted).await
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No database.
    #[error("no database")]
    Database(#[from] ConnectError),
    /// The schema is not what this program needs.
    #[error("the schema is not up to date: run `store-manager migrate`")]
    Schema(#[source] sqlx::Error),
    /// An address cannot be listened at.
    #[error("cannot listen")]
    Bind(#[from] BindError),
    /// Nobody can be told the addresses.
    #[error("the addresses cannot be told")]
    Addresses(#[from] AddressesError),
}

/// The service, connected and bound, not serving yet.
pub struct Service {
    shared: Shared,
    grpc: GrpcServer,
    admin: AdminServer,
    consumer: Consumer<Handlers>,
    sweeper: SweeperOptions,
    registry: Registry,
}

impl Service {
    /// Connects to the database, binds the addresses and tells them. Kafka need not be there.
    ///
    /// # Errors
    /// [`BuildError`].
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        fail_points::arm(&config.fail_points);
        let pool = postgres::connect(&config.postgres, NAME).await?;
        probe(&pool).await.map_err(BuildError::Schema)?;
        let mut registry = runtime::metrics::registry();
        let grpc = GrpcServer::bind(config.grpc_listen, config.grpc)
            .await?
            .metrics(&mut registry)
            .reflection(proto::FILE_DESCRIPTOR_SET);
        let admin = AdminServer::bind(config.admin_listen).await?;
        let shared = Shared {
            pool: pool.clone(),
            currency: config.store.store_currency,
            watches: Watches::default(),
            metrics: Metrics::register(&mut registry),
        };
        let consumer = Consumer::new(
            ConsumerOptions {
                overrides: config.consumer_settings,
                ..ConsumerOptions::new(config.kafka.kafka_brokers, NAME)
            },
            pool,
            Handlers::new(shared.watches.clone(), shared.metrics.clone()),
            ConsumerMetrics::register(&mut registry),
        );
        let addresses =
            Addresses { grpc: Some(grpc.local_addr()), admin: Some(admin.local_addr()) };
        addresses::announce(config.addresses_file.as_deref(), addresses)?;
        Ok(Self { shared, grpc, admin, consumer, sweeper: config.sweeper, registry })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses { grpc: Some(self.grpc.local_addr()), admin: Some(self.admin.local_addr()) }
    }

    /// Serves as one more of `tasks` until their shutdown is requested or a task fails.
    ///
    /// # Errors
    /// The first task's failure.
    pub async fn run(self, mut tasks: Tasks) -> Result<(), TaskError> {
        let shutdown = tasks.shutdown();
        let Shared { pool, metrics, .. } = self.shared.clone();
        let health = StoreHealth { pool: pool.clone(), consumer: self.consumer.status() };
        let registry = Arc::new(self.registry);
        let routes = routes(&self.shared);
        let sweep = sweeper::run(pool.clone(), self.sweeper, metrics, shutdown.clone());
        tasks.spawn("admin", self.admin.serve(registry, Arc::new(health), shutdown.clone()));
        tasks.spawn("consumer", self.consumer.run(shutdown.clone()));
        tasks.spawn("sweeper", sweep);
        tasks.spawn("partitions", partitions::maintain(pool, shutdown.clone()));
        tasks.spawn("grpc", self.grpc.serve(routes, &SERVICES, shutdown));
        tasks.run(shutdown::HARD_DEADLINE).await
    }
}

fn routes(shared: &Shared) -> Routes {
    let mut routes = Routes::builder();
    routes
        .add_service(OrderServiceServer::new(OrdersGrpc(shared.clone())))
        .add_service(StockServiceServer::new(StockGrpc(shared.clone())))
        .add_service(ProductServiceServer::new(ProductsGrpc(shared.clone())))
        .add_service(UserServiceServer::new(UsersGrpc(shared.clone())));
    routes.routes()
}

/// Whether the database answers and has the tables.
async fn probe(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT 1 FROM store_manager.orders, store_manager.order_refusals, messaging.outbox LIMIT 0",
    )
    .execute(pool)
    .await
    .map(drop)
}

struct StoreHealth {
    pool: PgPool,
    consumer: ConsumerStatus,
}

impl Health for StoreHealth {
    fn ready(&self) -> BoxFuture<'_, HealthReport> {
        Box::pin(async {
            let answer = probe(&self.pool).await;
            let database = match &answer {
                Ok(()) => json!("ok"),
                Err(error) => json!(error.to_string()),
            };
            HealthReport { ok: answer.is_ok(), body: json!({ "database": database }) }
        })
    }

    fn live(&self) -> BoxFuture<'_, HealthReport> {
        Box::pin(async {
            HealthReport { ok: true, body: json!({ "consumer": self.consumer.report() }) }
        })
    }
}
