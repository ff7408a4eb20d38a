//! A handler that does what its test says.

use messaging::{HandleError, Handler, Record};
use proto::store::orders::events::v1::OrderEvent;
use sqlx::PgConnection;
use uuid::Uuid;

/// What the handler does with a record.
pub(crate) enum Act {
    /// Its effect.
    Apply,
    /// Its effect, slowly.
    ApplySlowly(std::time::Duration),
    /// Its effect, then a refusal: the effect must not remain.
    ApplyAndReject,
    /// An effect that violates a constraint.
    Violate,
    /// A deadlock, as PostgreSQL tells it.
    Deadlock,
    /// Trouble that passes.
    Retry,
    /// Reads the payload.
    Decode,
    /// Ends its own connection.
    Disconnect,
}

pub(crate) struct Script<A, C = fn(&[&Record])> {
    topics: &'static [&'static str],
    act: A,
    committed: C,
}

impl<A: Fn(&Record) -> Act> Script<A> {
    pub(crate) fn new(topic: &'static str, act: A) -> Self {
        Self::with_committed(topic, act, |_| {})
    }
}

impl<A: Fn(&Record) -> Act, C: Fn(&[&Record])> Script<A, C> {
    pub(crate) fn with_committed(topic: &'static str, act: A, committed: C) -> Self {
        Self { topics: vec![topic].leak(), act, committed }
    }
}

impl<A, C> Handler for Script<A, C>
where
    A: Fn(&Record) -> Act + Send + Sync + 'static,
    C: Fn(&[&Record]) + Send + Sync + 'static,
{
    fn topics(&self) -> &'static [&'static str] {
        self.topics
    }

    async fn handle(
        &self,
        connection: &mut PgConnection,
        record: &Record,
    ) -> Result<(), HandleError> {
        let event_id = record.event_id().unwrap();
        match (self.act)(record) {
            Act::Apply => apply(connection, event_id, "").await,
            Act::ApplySlowly(time) => {
                apply(connection, event_id, "").await?;
                tokio::time::sleep(time).await;
                Ok(())
            }
            Act::ApplyAndReject => {
                apply(connection, event_id, "").await?;
                Err(HandleError::Reject(String::from("not for us")))
            }
            Act::Violate => apply(connection, event_id, "forbidden").await,
            Act::Deadlock => {
                run(connection, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$").await
            }
            Act::Retry => Err(HandleError::Retry("not now".into())),
            Act::Decode => record.decode::<OrderEvent>().map(|_| ()),
            Act::Disconnect => {
                run(connection, "SELECT pg_terminate_backend(pg_backend_pid())").await
            }
        }
    }

    fn committed(&self, records: &[&Record]) {
        (self.committed)(records);
    }
}

async fn apply(
    connection: &mut PgConnection,
    event_id: Uuid,
    note: &str,
) -> Result<(), HandleError> {
    sqlx::query("INSERT INTO effects (event_id, note) VALUES ($1, $2)")
        .bind(event_id)
        .bind(note)
        .execute(connection)
        .await?;
    Ok(())
}

async fn run(connection: &mut PgConnection, statement: &'static str) -> Result<(), HandleError> {
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}
