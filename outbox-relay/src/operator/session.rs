//! How a command reaches a source: one connection of its own to the database, and the progress as it stands on Kafka.

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::blocking::blocking;
use crate::core::progress::Progress;
use crate::fault::Fault;
use crate::operator::arguments::ProgressArgs;
use crate::source::connecting;
use crate::source::progress_topic::{self, ReadProgressError};
use crate::sources::SourceAddress;

/// What a command does with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It only looks, and PostgreSQL holds it to that.
    Read,
    /// It writes rows.
    Write,
}

/// Opens a connection that shows up in `pg_stat_activity` as `command`. No statement on it takes more than 30 s.
pub(crate) async fn connect(
    source: &SourceAddress,
    command: &str,
    access: Access,
) -> Result<PgConnection, Fault> {
    let read_only = match access {
        Access::Read => "on",
        Access::Write => "off",
    };
    let session = |options: PgConnectOptions| {
        options.application_name(&format!("outbox-relay {command}")).options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "4s"),
            ("default_transaction_read_only", read_only),
        ])
    };
    connecting::connect(source.url.expose_secret(), session).await
}

/// The progress of the source `name`, if there is any.
pub(crate) async fn read_progress(
    args: &ProgressArgs,
    name: &str,
) -> Result<Option<Progress>, Fault> {
    let (kafka, topic, source) = (args.kafka.clone(), args.progress_topic.clone(), name.to_owned());
    let read = blocking(move || {
        let records = progress_topic::read(&kafka, &topic, &source)?;
        Progress::decode(&source, &records).map_err(ReadProgressError::from)
    });
    read.await.map_err(|error| Fault::of_progress(&error, &args.kafka.brokers))
}
