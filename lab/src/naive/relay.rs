//! The tiny store's relay: what is committed in the outbox goes to Kafka, in the order of the numbers. Rows of one key get their
//! numbers in the order of their commits as long as the writers lock the key's row, so each look may send all that it sees.

use std::{collections::HashSet, time::Duration};

use rdkafka::producer::FutureProducer;
use sqlx::PgPool;
use tokio::time::sleep;
use uuid::Uuid;

use super::{NaiveError, announcement::Announcement, quiet};

const POLL: Duration = Duration::from_millis(20);

/// A relay of the outboxes of `pools`.
pub(super) struct Relay<'a> {
    pools: [&'a PgPool; 2],
    producer: &'a FutureProducer,
    published: HashSet<Uuid>,
}

impl<'a> Relay<'a> {
    /// One that goes on where those before it stopped: it looks at Kafka first.
    pub(super) async fn new(
        pools: [&'a PgPool; 2],
        producer: &'a FutureProducer,
        brokers: &str,
    ) -> Result<Self, NaiveError> {
        let published = quiet::published(brokers).await?;
        Ok(Self { pools, producer, published })
    }

    /// Publishes for ever.
    pub(super) async fn run(mut self) -> Result<(), NaiveError> {
        loop {
            self.look().await?;
            sleep(POLL).await;
        }
    }

    /// Publishes what is there.
    pub(super) async fn look(&mut self) -> Result<(), NaiveError> {
        for pool in self.pools {
            let published: Vec<Uuid> = self.published.iter().copied().collect();
            let rows = sqlx::query(
                "SELECT id, aggregatetype, aggregateid, type, source, subject, created_at, correlationid,
                     causationid, payload
                 FROM messaging.outbox
                 WHERE id <> ALL ($1)
                 ORDER BY sequence",
            );
            for row in rows.bind(published).fetch_all(pool).await? {
                let announcement = Announcement::from(&row);
                announcement.publish(self.producer).await?;
                self.published.insert(announcement.id);
            }
        }
        Ok(())
    }
}
