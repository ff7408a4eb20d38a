//! How far a source has come, by its table and the progress topic together.

use sqlx::PgConnection;

use crate::core::ledger::Reached;
use crate::core::parked::Parked;
use crate::core::position::Position;
use crate::core::progress::{Discontinuity, Progress, Start, start};
use crate::fault::Fault;
use crate::operator::arguments::ProgressArgs;
use crate::operator::session::read_progress;
use crate::source::identity;

/// How far a source has come.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Every number up to its head but its gaps is published, given up, or waits because its key is parked.
    pub(crate) position: Position,
    /// The keys that wait.
    pub(crate) parked: Parked,
    /// The last number drawn.
    pub(crate) last_value: i64,
    /// Why this must not be relied on, if it must not.
    pub(crate) discontinuity: Option<Discontinuity>,
}

/// Reads it.
pub(crate) async fn read(
    connection: &mut PgConnection,
    progress: &ProgressArgs,
    source: &str,
) -> Result<Standing, Fault> {
    let recorded = read_progress(progress, source).await?;
    judge(connection, recorded).await
}

/// What a progress record means for the table that `connection` leads to.
pub(crate) async fn judge(
    connection: &mut PgConnection,
    recorded: Option<Progress>,
) -> Result<Standing, Fault> {
    let of_database = |error| Fault::of_database(&error);
    let found = identity::read(connection).await.map_err(of_database)?;
    let (identity, published) = found.ok_or_else(|| {
        Fault::new("messaging.outbox_epoch has no row", "run `outbox-relay init` on this database")
    })?;
    // Read after the progress: what is recorded had been drawn before.
    let last_value = identity::last_value(connection).await.map_err(of_database)?;
    Ok(match start(recorded, &identity, published, last_value) {
        Ok(Start::First) => Standing::nowhere(last_value, None),
        Ok(Start::From(Reached { position, parked })) => {
            Standing { position, parked, last_value, discontinuity: None }
        }
        Err(discontinuity) => Standing::nowhere(last_value, Some(discontinuity)),
    })
}

impl Standing {
    fn nowhere(last_value: i64, discontinuity: Option<Discontinuity>) -> Self {
        let (position, parked) = (Position::default(), Parked::default());
        Self { position, parked, last_value, discontinuity }
    }

    /// What to do about the discontinuity, if there is one.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let cure = "see first what happened to the database";
        self.discontinuity.as_ref().map(|found| Fault::new(found.to_string(), cure))
    }

    /// How many numbers are below the head and open.
    pub(crate) fn open_numbers(&self) -> i64 {
        self.position.gaps().iter().map(|run| run.last - run.first + 1).sum()
    }
}
