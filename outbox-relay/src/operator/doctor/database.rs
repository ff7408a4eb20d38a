//! Whether a source's database can be reached, keeps a session, and has what the relay needs.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection, Executor, Row};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::fault::database::proxy;
use crate::finding::{Finding, Level};
use crate::operator::session::{Access, connect};
use crate::source::connecting;
use crate::source::requirements;
use crate::sources::SourceAddress;

/// How long a first answer may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How often it is tried whether two sessions get mixed up.
const ROUNDS: usize = 3;

/// Checks it; answers a connection if everything else can be checked over it.
pub(crate) async fn check(source: &SourceAddress) -> (Option<PgConnection>, Vec<Finding>) {
    let mut findings = match keeps_sessions(source).await {
        Ok(findings) => findings,
        Err(fault) => return (None, vec![Finding::fault("connection", fault)]),
    };
    match has_what_is_needed(source, &mut findings).await {
        Ok(connection) if findings.iter().all(|finding| finding.level != Level::Fault) => {
            (Some(connection), findings)
        }
        Ok(_) => (None, findings),
        Err(fault) => {
            findings.push(Finding::fault("connection", fault));
            (None, findings)
        }
    }
}

async fn has_what_is_needed(
    source: &SourceAddress,
    findings: &mut Vec<Finding>,
) -> Result<PgConnection, Fault> {
    let mut connection = connect(source, "doctor", Access::Read).await?;
    let found = requirements::check(&mut connection).await;
    findings.extend(found.map_err(|error| Fault::of_database(&error))?);
    Ok(connection)
}

/// Connects twice, and sees whether each has a backend of its own for good. A proxy that pools transactions lends the same one to
/// both, or another one each time; the leader's lock, LISTEN and the settings would not last.
async fn keeps_sessions(source: &SourceAddress) -> Result<Vec<Finding>, Fault> {
    let (mut one, mut other) = (plain(source).await?, plain(source).await?);
    for _ in 0..ROUNDS {
        let before = backend(&mut one).await?;
        simply(&mut other, "BEGIN").await?;
        let lent = backend(&mut other).await?;
        if lent == before || backend(&mut one).await? != before {
            return Err(proxy("it lends one backend to several clients in turn"));
        }
        simply(&mut other, "COMMIT").await?;
    }
    for connection in [one, other] {
        // It has served, whatever becomes of it.
        drop(timeout(TIMEOUT, connection.close()).await);
    }
    Ok(vec![Finding::ok("connection", "it is reached, and keeps a session")])
}

/// A connection without any settings, which a proxy might refuse.
async fn plain(source: &SourceAddress) -> Result<PgConnection, Fault> {
    let session = |options: PgConnectOptions| {
        options.application_name("outbox-relay doctor").extra_float_digits(None)
    };
    connecting::connect(source.url.expose_secret(), session).await
}

/// The backend that serves the connection just now.
async fn backend(connection: &mut PgConnection) -> Result<i32, Fault> {
    let rows = simply(connection, "SELECT pg_catalog.pg_backend_pid()").await?;
    let pid = rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get(0));
    pid.map_err(|error| Fault::of_database(&error))
}

/// Runs a statement in one message, so that nothing is prepared that a proxy would forget.
async fn simply(
    connection: &mut PgConnection,
    statement: &'static str,
) -> Result<Vec<PgRow>, Fault> {
    match timeout(TIMEOUT, connection.fetch_all(sqlx::raw_sql(statement))).await {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(error)) => Err(Fault::of_database(&error)),
        Err(_) => Err(proxy("a client waits for another one's transaction")),
    }
}
