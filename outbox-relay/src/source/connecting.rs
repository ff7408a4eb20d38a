//! Connecting to a source's database, and saying why it does not work.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::timeout;

use crate::fault::Fault;

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Connects to `url`, with what `settings` adds to it.
pub(crate) async fn connect(
    url: &str,
    settings: impl FnOnce(PgConnectOptions) -> PgConnectOptions,
) -> Result<PgConnection, Fault> {
    let options: PgConnectOptions = url.parse().map_err(|error| Fault::of_url(&error))?;
    match timeout(TIMEOUT, settings(options.clone()).connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(Fault::of_connecting(&error, &options)),
        Err(_) => Err(Fault::of_silence(&options)),
    }
}
