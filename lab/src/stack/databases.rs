//! Databases of one server: each test has its own, copied from a template that was migrated once.

use std::{collections::HashSet, error::Error};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{error::StackError, postgres::Postgres};

/// Which templates have been migrated.
#[derive(Debug, Default)]
pub(super) struct Templates {
    migrated: Mutex<HashSet<String>>,
}

impl Templates {
    /// Creates and migrates the template `name`, unless it is there already.
    pub(super) async fn ensure<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        postgres: &Postgres,
        name: &str,
        migrate: impl AsyncFnOnce(String) -> Result<(), E>,
    ) -> Result<(), StackError> {
        let mut migrated = self.migrated.lock().await;
        if migrated.contains(name) {
            return Ok(());
        }
        let database = template(name);
        drop(postgres, &database).await?;
        create(postgres, &database, None).await?;
        migrate(postgres.url(&database))
            .await
            .map_err(|error| StackError::Migrate { name: name.to_owned(), source: error.into() })?;
        migrated.insert(name.to_owned());
        Ok(())
    }

    /// Creates a database that is a copy of the template `name`; answers its URL.
    pub(super) async fn copy(&self, postgres: &Postgres, name: &str) -> Result<String, StackError> {
        let database = format!("{name}_{}", Uuid::now_v7().simple());
        create(postgres, &database, Some(&template(name))).await
    }
}

/// Creates a database, as a copy of `template` if there is one; answers its URL.
pub(super) async fn create(
    postgres: &Postgres,
    name: &str,
    template: Option<&str>,
) -> Result<String, StackError> {
    let template = template.map(|template| format!(" TEMPLATE {template}")).unwrap_or_default();
    execute(postgres, name, &format!("CREATE DATABASE {name}{template}")).await?;
    Ok(postgres.url(name))
}

/// Creates a database unless it exists; answers its URL.
pub(super) async fn ensure(postgres: &Postgres, name: &str) -> Result<String, StackError> {
    match create(postgres, name, None).await {
        Err(StackError::Sql { source, .. }) if is_duplicate(&source) => Ok(postgres.url(name)),
        result => result,
    }
}

async fn drop(postgres: &Postgres, name: &str) -> Result<(), StackError> {
    execute(postgres, name, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

async fn execute(postgres: &Postgres, name: &str, statement: &str) -> Result<(), StackError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(StackError::DatabaseName(name.to_owned()));
    }
    let failed = |source| StackError::Sql { what: format!("run `{statement}`"), source };
    let mut connection = PgConnection::connect(&postgres.url("postgres")).await.map_err(failed)?;
    // The names have been looked at above; there are no placeholders for identifiers.
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

fn template(name: &str) -> String {
    format!("template_{name}")
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    const DUPLICATE_DATABASE: &str = "42P04";
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some(DUPLICATE_DATABASE))
}
