//! What `explain` tells.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::fault::Fault;
use crate::operator::event::Row;
use crate::operator::explain::records::Occurrence;
use crate::operator::transactions::OpenTransaction;

/// Where an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// There is no such row.
    NotInTable,
    /// It is above the head.
    Waiting,
    /// It is below the head, was committed late, and has not been read.
    InGap,
    /// It, or one before it of its key, has been refused.
    Parked,
    /// Kafka has acknowledged it.
    Published,
    /// The progress does not tell.
    #[default]
    Unknown,
}

/// What each source that was asked knows.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainReport {
    /// What was asked for.
    pub(crate) event: String,
    /// The source that has it, else all that do not.
    pub(crate) sources: Vec<Explanation>,
}

/// What one source knows.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Explanation {
    /// Its name.
    pub(crate) source: String,
    /// Where the event is.
    pub(crate) state: State,
    /// The same in a sentence.
    pub(crate) said: String,
    /// The event's row.
    pub(crate) row: Option<Row>,
    /// Where it stands on Kafka.
    pub(crate) records: Vec<Occurrence>,
    /// The transactions that may still bring it.
    pub(crate) open_transactions: Vec<OpenTransaction>,
}

impl Explanation {
    /// An explanation of which more may be known.
    pub(crate) fn of(state: State, said: String) -> Self {
        Self { state, said, ..Self::default() }
    }

    /// That the progress does not tell.
    pub(crate) fn unknown(row: Option<Row>, fault: &Fault) -> Self {
        let said = format!("how far the source has come is not known: {fault}");
        Self { row, ..Self::of(State::Unknown, said) }
    }

    fn is_fine(&self) -> bool {
        match self.state {
            State::Waiting | State::InGap => true,
            State::Published => !self.records.is_empty(),
            State::NotInTable | State::Parked | State::Unknown => false,
        }
    }
}

impl ExplainReport {
    /// Whether the event is where it should be.
    pub(crate) fn is_fine(&self) -> bool {
        self.sources.iter().any(Explanation::is_fine)
    }
}

impl Display for ExplainReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sources.iter().try_for_each(|source| {
            writeln!(out, "{}, {}: {}", self.event, source.source, source.said)?;
            source.row.as_ref().map_or(Ok(()), |row| row.fmt(out))?;
            let mut records = source.records.iter();
            records.try_for_each(|record| writeln!(out, "  record      {record}"))?;
            let mut open = source.open_transactions.iter();
            open.try_for_each(|open| writeln!(out, "  open        {open}"))
        })
    }
}
