//! The service put together: [`Service::build`] connects and binds, [`Service::run`] serves until told to stop.

use std::sync::Arc;

use futures::future::BoxFuture;
use messaging::{Consumer, ConsumerMetrics, ConsumerOptions, ConsumerStatus, partitions, topics};
use proto::store::payments::v1::payment_service_server::{PaymentServiceServer, SERVICE_NAME};
use runtime::{
    BindError, TaskError, Tasks,
    addresses::{self, Addresses, AddressesError},
    admin::{AdminServer, Health, HealthReport},
    fail_points,
    grpc::GrpcServer,
    metrics::Registry,
    postgres::{self, ConnectError, PostgresOptions},
    shutdown,
};
use serde_json::json;
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
};
use tokio::sync::Notify;
use tonic::service::Routes;

use crate::{
    config::Config,
    grpc::PaymentsGrpc,
    handlers::{self, PaymentsHandler},
    metrics::PaymentsMetrics,
    provider::SimulatedProvider,
    worker::Worker,
};

/// The service's name: its consumer group, what the database sees, and the source of its events.
pub const NAME: &str = "payments";

static MIGRATOR: Migrator = sqlx::migrate!();

/// Connections that the simulated provider has of its own.
const PROVIDER_CONNECTIONS: u32 = 8;

/// Brings the schemas of a database up to date.
///
/// # Errors
/// What the migrator or the database says.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    messaging::migrate::run(pool).await?;
    MIGRATOR.run(pool).await
}

/// Creates the topics that payments writes: its events, and the dead letters of what it reads.
///
/// # Errors
/// If Kafka is not reached or refuses.
pub async fn create_topics(brokers: &str) -> Result<(), topics::CreateTopicsError> {
    let mut wanted = topics::dead_letters(NAME, handlers::TOPICS);
    wanted.push(topics::PAYMENTS);
    topics::create(brokers, &wanted).await
}

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No database.
    #[error("no database")]
    Database(#[from] ConnectError),
    /// The schema is not what this program needs.
    #[error("the schema is not up to date: run `payments migrate`")]
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
    pool: PgPool,
    wake_worker: Arc<Notify>,
    grpc: GrpcServer,
    admin: AdminServer,
    consumer: Consumer<PaymentsHandler>,
    worker: Worker<SimulatedProvider>,
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
        let wake_worker = Arc::new(Notify::new());
        let worker = Worker::new(
            pool.clone(),
            SimulatedProvider::new(provider_pool(&config.postgres).await?, &config.provider),
            Arc::clone(&wake_worker),
            config.worker,
            PaymentsMetrics::register(&mut registry),
        );
        let consumer = Consumer::new(
            ConsumerOptions {
                overrides: config.consumer_settings,
                ..ConsumerOptions::new(config.kafka.kafka_brokers, NAME)
            },
            pool.clone(),
            PaymentsHandler::new(Arc::clone(&wake_worker)),
            ConsumerMetrics::register(&mut registry),
        );
        let addresses =
            Addresses { grpc: Some(grpc.local_addr()), admin: Some(admin.local_addr()) };
        addresses::announce(config.addresses_file.as_deref(), addresses)?;
        Ok(Self { pool, wake_worker, grpc, admin, consumer, worker, registry })
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
        let health = PaymentsHealth { pool: self.pool.clone(), consumer: self.consumer.status() };
        let routes = Routes::new(PaymentServiceServer::new(PaymentsGrpc::new(
            self.pool.clone(),
            self.wake_worker,
        )));
        let registry = Arc::new(self.registry);
        tasks.spawn("admin", self.admin.serve(registry, Arc::new(health), shutdown.clone()));
        tasks.spawn("consumer", self.consumer.run(shutdown.clone()));
        tasks.spawn("worker", self.worker.run(shutdown.clone()));
        tasks.spawn("partitions", partitions::maintain(self.pool, shutdown.clone()));
        tasks.spawn("grpc", self.grpc.serve(routes, &[SERVICE_NAME], shutdown));
        tasks.run(shutdown::HARD_DEADLINE).await
    }
}

/// Whether the database answers and has the tables.
async fn probe(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT 1 FROM payments.payments, simulated_provider.ledger, messaging.outbox LIMIT 0",
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The simulated provider's connections: never one that a transaction of this service holds.
async fn provider_pool(options: &PostgresOptions) -> Result<PgPool, ConnectError> {
    let options = PostgresOptions {
        database_max_connections: options.database_max_connections.min(PROVIDER_CONNECTIONS),
        ..options.clone()
    };
    postgres::connect(&options, "simulated-provider").await
}

struct PaymentsHealth {
    pool: PgPool,
    consumer: ConsumerStatus,
}

impl Health for PaymentsHealth {
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
