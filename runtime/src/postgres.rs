//! The pool of connections to a service's own database.
//!
//! Every wait has an end: for a connection (the acquire timeout), for a lock, for a statement, for a client that sits in an open
//! transaction. Within an rpc, [`set_statement_timeout`] shortens the statement timeout to what is left of its deadline.

use std::{str::FromStr as _, time::Duration};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    config,
    fail_points::{self, road},
    grpc::deadline,
};

const MAX_CONNECTIONS: u32 = 16;
const ACQUIRE_TIMEOUT_MS: u64 = 3_000;
const STATEMENT_TIMEOUT_MS: u64 = 5_000;
const LOCK_TIMEOUT_MS: u64 = 2_000;

/// How to reach the database and how long to wait for it.
#[derive(Args, Clone, Debug)]
pub struct PostgresOptions {
    /// URL of the service's own PostgreSQL database, for example postgres://user:password@host:5432/name
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL",
        value_parser = config::secret(check_url))]
    pub database_url: SecretString,
    /// Most connections to the database
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = MAX_CONNECTIONS, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub database_max_connections: u32,
    /// Longest wait for a connection, in milliseconds
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT_MS", default_value_t = ACQUIRE_TIMEOUT_MS, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub database_acquire_timeout_ms: u64,
    /// Longest run of one statement, in milliseconds
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT_MS", default_value_t = STATEMENT_TIMEOUT_MS, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub database_statement_timeout_ms: u64,
    /// Longest wait for a lock, in milliseconds
    #[arg(long, env = "DATABASE_LOCK_TIMEOUT_MS", default_value_t = LOCK_TIMEOUT_MS, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub database_lock_timeout_ms: u64,
}

impl PostgresOptions {
    /// The options for `url`, the rest as by default.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            database_url: SecretString::from(url.into()),
            database_max_connections: MAX_CONNECTIONS,
            database_acquire_timeout_ms: ACQUIRE_TIMEOUT_MS,
            database_statement_timeout_ms: STATEMENT_TIMEOUT_MS,
            database_lock_timeout_ms: LOCK_TIMEOUT_MS,
        }
    }
}

/// The database could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("wrong value of DATABASE_URL")]
    Url(#[source] sqlx::Error),
    /// The database does not answer or refuses.
    #[error("cannot connect to the database {database} at {host}:{port} as {user} (DATABASE_URL)")]
    Connect {
        /// Its name.
        database: String,
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// The user.
        user: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
}

/// Opens a pool and one connection, to know that it works. `application_name` is what the database's operator sees.
///
/// # Errors
/// If the database cannot be reached within the acquire timeout.
pub async fn connect(
    options: &PostgresOptions,
    application_name: &str,
) -> Result<PgPool, ConnectError> {
    let to = connect_options(options, application_name)?;
    let pool = PgPoolOptions::new()
        .max_connections(options.database_max_connections)
        .acquire_timeout(Duration::from_millis(options.database_acquire_timeout_ms));
    pool.connect_with(to.clone()).await.map_err(|source| ConnectError::Connect {
        database: to.get_database().unwrap_or(to.get_username()).to_owned(),
        host: to.get_host().to_owned(),
        port: to.get_port(),
        user: to.get_username().to_owned(),
        source,
    })
}

/// The options of one connection that belongs to no pool, such as a listener's.
///
/// # Errors
/// If the URL is none.
pub fn connect_options(
    options: &PostgresOptions,
    application_name: &str,
) -> Result<PgConnectOptions, ConnectError> {
    let url = options.database_url.expose_secret();
    let statement_ms = options.database_statement_timeout_ms;
    let settings = [
        ("statement_timeout", statement_ms),
        ("lock_timeout", options.database_lock_timeout_ms),
        ("idle_in_transaction_session_timeout", statement_ms.saturating_mul(2)),
    ];
    let parsed = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?;
    Ok(parsed.application_name(application_name).options(settings))
}

/// Begins a transaction, and leaves none open if the caller is dropped while it waits.
///
/// `PgPool::begin` does (sqlx 0.9): dropped after it has sent BEGIN and before the answer has come, it gives the connection
/// back with a transaction that nobody knows of. The next user's statements would run in it and never be committed. An rpc
/// whose caller goes away is dropped so, and so is any work with a timeout.
///
/// # Errors
/// As `PgPool::begin`.
#[allow(
    clippy::disallowed_methods,
    reason = "it ends by itself, and must when its caller does not"
)]
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// Commits a command's transaction, past the fail points before and after.
///
/// # Errors
/// If the database fails; whether the transaction is committed is not known then.
pub async fn commit(
    transaction: Transaction<'_, Postgres>,
    points: road::Commit,
) -> sqlx::Result<()> {
    fail_points::pass(points.committing).await?;
    transaction.commit().await?;
    Ok(fail_points::pass(points.committed).await?)
}

/// Whether the database answers within the pool's acquire timeout.
pub async fn is_up(pool: &PgPool) -> bool {
    sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(pool).await.is_ok()
}

/// Gives the statements of the current transaction no longer than what is left of the rpc's deadline; outside of an rpc it
/// does nothing.
///
/// # Errors
/// If the database fails.
pub async fn set_statement_timeout(connection: &mut PgConnection) -> sqlx::Result<()> {
    let Some(left) = deadline::remaining() else { return Ok(()) };
    // Zero would mean no timeout, and more than an i32 of milliseconds is refused.
    let left_ms = left.as_millis().clamp(1, 3_600_000).to_string();
    sqlx::query("SELECT set_config('statement_timeout', $1, true)")
        .bind(left_ms)
        .execute(connection)
        .await?;
    Ok(())
}

fn check_url(url: &str) -> Result<(), String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("it must begin with postgres:// or postgresql://".to_owned());
    }
    PgConnectOptions::from_str(url).map(drop).map_err(|error| error.to_string())
}
