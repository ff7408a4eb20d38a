//! The servers of a campaign: a stack that all rounds share, and further ones for rounds that break theirs.

use std::sync::{Mutex, PoisonError};

use sqlx::{Connection, Executor, PgConnection};

use super::RoundError;
use crate::stack::{Kafka, Postgres, Stack};

/// Nothing is written to disk unless a commit asks for it: the longer it is in memory only, the more a crash takes.
const LAZY: &str = "ALTER SYSTEM SET wal_writer_delay = '10s'";

/// Where rounds are played.
#[derive(Debug)]
pub struct Arena<'a> {
    stack: &'a Stack,
    spare: Mutex<Vec<Servers>>,
}

/// Servers of a round that breaks them.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) postgres: Postgres,
    pub(super) kafka: Kafka,
}

impl<'a> Arena<'a> {
    /// One whose rounds share `stack`.
    #[must_use]
    pub fn new(stack: &'a Stack) -> Self {
        Self { stack, spare: Mutex::default() }
    }

    /// What is shared.
    pub(super) fn stack(&self) -> &'a Stack {
        self.stack
    }

    /// Servers that nobody uses.
    pub(super) async fn take(&self) -> Result<Servers, RoundError> {
        if let Some(servers) = self.spare().pop() {
            return Ok(servers);
        }
        let (postgres, kafka) =
            tokio::try_join!(self.stack.fresh_postgres(), self.stack.fresh_kafka())?;
        let mut connection = PgConnection::connect(&postgres.url("postgres")).await?;
        connection.execute(LAZY).await?;
        connection.execute("SELECT pg_reload_conf()").await?;
        connection.close().await?;
        Ok(Servers { postgres, kafka })
    }

    /// They are whole again, and nobody uses them any more.
    pub(super) fn give_back(&self, servers: Servers) {
        self.spare().push(servers);
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Servers>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
