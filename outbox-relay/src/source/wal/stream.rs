//! The stream of a slot: rows of the outbox in the order of their commits, and how far the WAL has been passed.
//!
//! PostgreSQL sends a transaction once its commit is flushed, whole and one after the other. So what comes is durable, and whatever
//! began to commit before a point that the stream has passed has come.

use std::time::Duration;

use futures::FutureExt;
use pgwire_replication::{
    Lsn, PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent,
};
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::source::row::OutboxRow;
use crate::source::wal::pgoutput::{DecodeError, Decoder};
use crate::source::wal::slot::{PUBLICATION, Slot};

/// How long the server may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(4);

/// How often the slot is told how far it may forget.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Messages read ahead; what they take in memory is this many rows.
const READ_AHEAD: usize = 16;

/// Whatever the role's own settings are.
const SESSION: &str = "-c statement_timeout=0 -c lock_timeout=0";

/// Why a stream has ended.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    /// The connection is gone; the slot is as good as before.
    #[error("the stream of the slot broke off")]
    Broken(#[source] PgWireError),
    /// The server or its answers are not as they should be.
    #[error("the slot cannot be followed")]
    Refused(#[source] PgWireError),
    /// The server did not begin.
    #[error("the stream of the slot has not begun within 4 s")]
    Timeout,
    /// What came cannot be read.
    #[error("the stream cannot be read")]
    Decode(#[from] DecodeError),
}

impl From<PgWireError> for StreamError {
    fn from(error: PgWireError) -> Self {
        // Shutdowns, a walsender that was terminated, and a slot that another one still holds.
        let passing = ["57P01", "57P02", "57P03", "55006"];
        let text = error.to_string();
        let passes = passing.iter().any(|code| text.contains(&format!("SQLSTATE {code}")));
        if error.is_auth() || error.is_tls() || error.is_server() && !passes {
            Self::Refused(error)
        } else {
            Self::Broken(error)
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Change {
    /// A committed row.
    Row(Box<OutboxRow>),
    /// Whatever began to commit before this point has come.
    Passed(Lsn),
}

/// An open stream, with a connection of its own.
pub(crate) struct Stream {
    client: ReplicationClient,
    decoder: Decoder,
    passed: Lsn,
    heard_at: Instant,
    next: Option<Change>,
}

impl Stream {
    /// Begins to follow `slot` from where it was confirmed.
    pub(crate) async fn open(
        address: &ReplicationConfig,
        slot: &Slot,
    ) -> Result<Self, StreamError> {
        let mut config = address
            .clone()
            .with_application_name("outbox-relay wal")
            .with_options(SESSION)
            .with_binary(true)
            .with_status_interval(STATUS_EVERY)
            .with_buffer_size(READ_AHEAD);
        config.slot = slot.name.clone();
        config.publication = PUBLICATION.into();
        let mut client = ReplicationClient::connect(config).await?;
        match timeout(START_TIMEOUT, client.wait_started()).await {
            Ok(started) => started?,
            Err(_) => {
                client.abort();
                return Err(StreamError::Timeout);
            }
        }
        let (passed, heard_at) = (slot.confirmed, Instant::now());
        Ok(Self { client, decoder: Decoder::default(), passed, heard_at, next: None })
    }

    /// How far the WAL has been passed.
    pub(crate) fn passed(&self) -> Lsn {
        self.passed
    }

    /// When something last came.
    pub(crate) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Lets the slot forget everything before `lsn`.
    pub(crate) fn confirm(&self, lsn: Lsn) {
        self.client.update_applied_lsn(lsn);
    }

    /// Waits until there is a change to take. Losing interest meanwhile loses nothing.
    pub(crate) async fn ready(&mut self) -> Result<(), StreamError> {
        while self.next.is_none() {
            let event = self.client.recv().await?.ok_or_else(ended)?;
            self.next = self.read(event)?;
        }
        Ok(())
    }

    /// The next change, if there is one by now.
    pub(crate) async fn take(&mut self) -> Result<Option<Change>, StreamError> {
        // The client reads in a task of its own, which gets one chance to catch up.
        for chance in 0..2 {
            if chance > 0 {
                tokio::task::yield_now().await;
            }
            if let Some(ready) = tokio::task::unconstrained(self.ready()).now_or_never() {
                ready?;
                return Ok(self.next.take());
            }
        }
        Ok(None)
    }

    fn read(&mut self, event: ReplicationEvent) -> Result<Option<Change>, StreamError> {
        self.heard_at = Instant::now();
        Ok(match event {
            ReplicationEvent::XLogData { data, .. } => {
                self.decoder.decode(&data)?.map(|row| Change::Row(Box::new(row)))
            }
            ReplicationEvent::Commit { end_lsn: lsn, .. }
            | ReplicationEvent::KeepAlive { wal_end: lsn, .. } => self.pass(lsn),
            ReplicationEvent::Begin { .. }
            | ReplicationEvent::Message { .. }
            | ReplicationEvent::StoppedAt { .. } => None,
        })
    }

    fn pass(&mut self, lsn: Lsn) -> Option<Change> {
        // While a long transaction is sent, the server also tells of points within it.
        (lsn > self.passed).then(|| {
            self.passed = lsn;
            Change::Passed(lsn)
        })
    }
}

fn ended() -> StreamError {
    StreamError::Broken(PgWireError::Task("the server has ended the stream".to_owned()))
}
