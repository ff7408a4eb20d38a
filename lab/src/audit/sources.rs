//! Where a system's data are, and how they become a [`Snapshot`].

use rdkafka::error::KafkaError;

use super::{AuditError, Owner, Snapshot, databases, topics};
use crate::system::System;

/// Where the data of a system are.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The URL of store-manager's database.
    pub store_manager: String,
    /// The URL of payments' database.
    pub payments: String,
    /// Kafka's bootstrap servers.
    pub brokers: String,
}

impl From<&System> for Sources {
    fn from(system: &System) -> Self {
        Self {
            store_manager: system.store_manager_database().to_owned(),
            payments: system.payments_database().to_owned(),
            brokers: system.kafka().brokers().to_owned(),
        }
    }
}

impl Sources {
    fn database(&self, owner: Owner) -> &str {
        match owner {
            Owner::StoreManager => &self.store_manager,
            Owner::Payments => &self.payments,
        }
    }
}

impl Snapshot {
    /// Reads everything: first the topics, then the databases, so that what the relay publishes meanwhile is not taken for
    /// invented. Only of a system at rest is it one moment.
    ///
    /// # Errors
    /// If something cannot be read.
    pub async fn read(sources: &Sources) -> Result<Self, AuditError> {
        let brokers = sources.brokers.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut snapshot = Self::default();
            topics::read(&brokers, &mut snapshot).map(|()| snapshot)
        });
        let mut snapshot = reading.await.map_err(|_| KafkaError::Canceled)??;
        for owner in Owner::ALL {
            databases::read(owner, sources.database(owner), &mut snapshot).await?;
        }
        Ok(snapshot)
    }
}
