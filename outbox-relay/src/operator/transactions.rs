//! The open transactions that may still fill a gap, so that somebody can be asked about them.

use std::fmt::{self, Display};

use serde::Serialize;
use sqlx::PgConnection;

use crate::operator::output::age;

/// So many are told.
const MOST: usize = 100;

/// A transaction that has written into the outbox and not ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OpenTransaction {
    /// Its backend; none if it is prepared.
    pub(crate) pid: Option<i32>,
    /// Its name, if it is prepared.
    pub(crate) gid: Option<String>,
    /// Its application's name, else its role's.
    pub(crate) who: String,
    /// What it does: as in `pg_stat_activity`, or `prepared`.
    pub(crate) state: String,
    /// For how many seconds it has been open, or prepared; unknown to a role that may not see it.
    pub(crate) open_for: Option<f64>,
}

/// The open transactions, oldest first; at most [`MOST`].
pub(crate) async fn read(
    connection: &mut PgConnection,
) -> Result<Vec<OpenTransaction>, sqlx::Error> {
    let holders = sqlx::query_file!("sql/read_holders.sql").fetch_all(connection).await?;
    let open = holders.into_iter().take(MOST).map(|holder| OpenTransaction {
        state: match holder.gid {
            Some(_) => "prepared".to_owned(),
            None => holder.state.unwrap_or_default(),
        },
        pid: holder.pid,
        gid: holder.gid,
        who: holder.who,
        open_for: holder.open_for,
    });
    Ok(open.collect())
}

impl OpenTransaction {
    /// How to end it.
    pub(crate) fn cure(&self) -> String {
        match (&self.gid, self.pid) {
            (Some(gid), _) => format!("COMMIT PREPARED or ROLLBACK PREPARED '{gid}'"),
            (None, Some(pid)) => {
                format!("end it at its application, or SELECT pg_terminate_backend({pid})")
            }
            (None, None) => "find it in pg_prepared_xacts and end it".to_owned(),
        }
    }
}

impl Display for OpenTransaction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.gid, self.pid) {
            (Some(gid), _) => write!(out, "prepared transaction '{gid}' of {}", self.who)?,
            (None, Some(pid)) => write!(out, "pid {pid} of {} ({})", self.who, self.state)?,
            (None, None) => write!(out, "a prepared transaction")?,
        }
        self.open_for.map_or(Ok(()), |seconds| write!(out, " for {}", age(seconds)))
    }
}
