//! The source's leadership, held by a command: while it works, no relay publishes.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep};

use crate::fault::Fault;
use crate::operator::leader;
use crate::operator::session::{self, Access};
use crate::service::instance;
use crate::source::database::{Database, DatabaseError};
use crate::sources::SourceAddress;

/// How long a relay that leads is waited for. One that has stopped gives the lock up now and then.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the lock is tried.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// How often the holder says that it is alive; without that a standby ends its connection.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// The lock, as long as its connection lasts.
pub(crate) struct Lock {
    database: Database,
    instance: String,
}

impl Lock {
    /// Waits for the lock; tells who has it if it does not come.
    pub(crate) async fn take(source: &SourceAddress) -> Result<Self, Fault> {
        let mut database =
            Database::connect(source.url.expose_secret()).await.map_err(|error| fault(&error))?;
        let began = Instant::now();
        while !database.try_lead().await.map_err(|error| fault(&error))? {
            if began.elapsed() > PATIENCE {
                return Err(led(source).await?);
            }
            sleep(TRY_EVERY).await;
        }
        let mut lock = Self { database, instance: format!("audit --repair at {}", instance()) };
        lock.beat().await?;
        Ok(lock)
    }

    /// Does `work` while saying that its holder is alive. Ends early where the lock is lost.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(BEAT_EVERY) => self.beat().await?,
            }
        }
    }

    /// Waits until all that was visible before is on disk.
    pub(crate) async fn until_durable(&mut self) -> Result<(), Fault> {
        self.database.until_durable(&self.instance).await.map_err(|error| fault(&error))
    }

    /// Marks the table as published.
    pub(crate) async fn mark_published(&mut self) -> Result<(), Fault> {
        self.database.mark_published().await.map_err(|error| fault(&error))
    }

    /// Makes sure that the lock is held.
    pub(crate) async fn beat(&mut self) -> Result<(), Fault> {
        self.database.beat(&self.instance).await.map(drop).map_err(|error| fault(&error))
    }

    /// Gives the lock up.
    pub(crate) async fn release(self) -> Result<(), Fault> {
        self.database.close().await.map_err(|error| fault(&error))
    }
}

async fn led(source: &SourceAddress) -> Result<Fault, Fault> {
    let mut connection = session::connect(source, "audit", Access::Read).await?;
    let leader = leader::read(&mut connection).await.map_err(|error| Fault::of_database(&error))?;
    Ok(Fault::new(
        format!("the source is led, and not to be repaired meanwhile: by {leader}"),
        "stop that relay, and repair again",
    ))
}

fn fault(error: &DatabaseError) -> Fault {
    match error {
        DatabaseError::Connect(fault) | DatabaseError::Unfit(fault) => fault.clone(),
        DatabaseError::Database(cause) | DatabaseError::NoOutbox(cause) => {
            Fault::of_database(cause)
        }
        DatabaseError::Timeout(_) | DatabaseError::NoEpoch => {
            Fault::new(error.to_string(), "then repair again")
        }
    }
}
