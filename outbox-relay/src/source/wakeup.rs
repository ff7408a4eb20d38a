//! The listening half of the wake-up handshake.
//!
//! A relay about to sleep takes the advisory lock that writers take shared. While it is refused, a writer is in flight, and the
//! relay only dozes. Once it has the lock, every writer from then on is refused and notifies at its commit; what the writers before
//! it wrote is visible, and found by one more look. So no row can come to the table unseen and unannounced.

use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::source::database::DatabaseError;

/// The channel that the column default notifies.
const CHANNEL: &str = "messaging_outbox";

/// How long connecting may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// A connection of its own that listens.
pub(crate) struct Wakeup {
    listener: PgListener,
}

impl Wakeup {
    /// Begins to listen. From the return on, no notification is missed unknowingly.
    pub(crate) async fn listen(url: &str) -> Result<Self, DatabaseError> {
        let listener = tokio::time::timeout(TIMEOUT, async {
            let mut listener = PgListener::connect(url).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, DatabaseError>(listener)
        })
        .await??;
        Ok(Self { listener })
    }

    /// Waits for a writer's notification. A connection that broke and is listening again counts as one, since some may have
    /// been missed.
    pub(crate) async fn woken(&mut self) -> Result<(), DatabaseError> {
        self.listener.try_recv().await?;
        while let Some(_more) = self.listener.next_buffered() {}
        Ok(())
    }
}
