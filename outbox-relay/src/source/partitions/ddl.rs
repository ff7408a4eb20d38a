//! The connection that changes the table: as the table's owner, and never waiting long for a lock, since whoever comes after
//! would wait behind it.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::source::connecting::connect;
use crate::source::database::DatabaseError;
use crate::source::partitions::PartitionsError;

/// How long a lock is waited for, and one statement may take.
const SESSION: [(&str, &str); 2] = [("lock_timeout", "2s"), ("statement_timeout", "20s")];

/// A connection for the length of one round.
pub(super) struct Ddl {
    pub(super) connection: PgConnection,
}

impl Ddl {
    pub(super) async fn connect(url: &str) -> Result<Self, DatabaseError> {
        let session = |options: PgConnectOptions| {
            options.application_name("outbox-relay partitions").options(SESSION)
        };
        let connection = connect(url, session).await.map_err(DatabaseError::Connect)?;
        Ok(Self { connection })
    }

    /// Goes on as the table's owner, so that new partitions belong to whom the others do. Fails early where the relay has not the
    /// right to change the table, and not only when there is something to change.
    pub(super) async fn become_owner(&mut self) -> Result<(), PartitionsError> {
        let who = sqlx::query!(
            r#"SELECT current_user::text AS "role!", pg_get_userbyid(relowner)::text AS "owner!",
                has_schema_privilege(relowner, relnamespace, 'CREATE') AS "may_create!"
            FROM pg_class WHERE oid = 'messaging.outbox'::regclass"#
        )
        .fetch_one(&mut self.connection)
        .await?;
        if !who.may_create {
            return Err(PartitionsError::NoSchema { owner: who.owner });
        }
        let become_owner = sqlx::query_scalar!("SELECT set_config('role', $1, false)", who.owner)
            .fetch_one(&mut self.connection)
            .await;
        match become_owner {
            Ok(_role) => Ok(()),
            Err(error) if error.as_database_error().is_some() => {
                Err(PartitionsError::NotOwner { role: who.role, owner: who.owner })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Runs one statement by itself. It must be made of names out of the catalog, numbers and times.
    pub(super) async fn execute(&mut self, statement: String) -> sqlx::Result<()> {
        self.connection.execute(AssertSqlSafe(statement)).await.map(drop)
    }

    /// Runs several in one transaction.
    pub(super) async fn execute_together(
        &mut self,
        statements: impl IntoIterator<Item = String>,
    ) -> sqlx::Result<()> {
        let mut transaction = self.connection.begin().await?;
        for statement in statements {
            transaction.execute(AssertSqlSafe(statement)).await?;
        }
        transaction.commit().await
    }

    pub(super) async fn close(self) -> sqlx::Result<()> {
        self.connection.close().await
    }
}
