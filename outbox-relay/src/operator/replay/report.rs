//! What a replay has sent, or would send.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::Serialize;
use uuid::Uuid;

use crate::operator::output::{as_optional_text, as_text, timestamp};
use crate::operator::rows::Entry;
use crate::source::row::OutboxRow;

/// How many rows a dry run lists one by one.
const LISTED: usize = 1_000;

/// A row that is sent again.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Replayed {
    pub(crate) number: i64,
    #[serde(serialize_with = "as_text")]
    pub(crate) event_id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) created_at: String,
}

/// What came of a replay.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayReport {
    pub(crate) source: String,
    /// The value of the header; none in a dry run.
    #[serde(serialize_with = "as_optional_text")]
    pub(crate) replay: Option<Uuid>,
    pub(crate) dry_run: bool,
    /// How many records were sent, or would be.
    pub(crate) records: u64,
    pub(crate) topics: BTreeMap<String, u64>,
    pub(crate) first: Option<Replayed>,
    pub(crate) last: Option<Replayed>,
    /// Rows left out because the relay has them still to send.
    pub(crate) unpublished: u64,
    /// Rows left out because their keys are parked.
    pub(crate) parked: u64,
    /// Events that Kafka would refuse, such as one whose payload was replaced: how many, and why the first is refused.
    pub(crate) refused: u64,
    pub(crate) refused_because: Option<String>,
    /// Rows below this number are meant too, and are not there any more.
    pub(crate) dropped_below: Option<i64>,
    /// In a dry run the first rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<Replayed>,
}

impl ReplayReport {
    /// Of nothing yet.
    pub(crate) fn new(source: &str, dry_run: bool) -> Self {
        Self {
            source: source.to_owned(),
            replay: (!dry_run).then(Uuid::now_v7),
            dry_run,
            records: 0,
            topics: BTreeMap::new(),
            first: None,
            last: None,
            unpublished: 0,
            parked: 0,
            refused: 0,
            refused_because: None,
            dropped_below: None,
            rows: Vec::new(),
        }
    }

    /// Counts a row.
    pub(crate) fn add(&mut self, row: &Entry) {
        self.records += 1;
        match self.topics.get_mut(&row.topic) {
            Some(records) => *records += 1,
            None => drop(self.topics.insert(row.topic.clone(), 1)),
        }
        let replayed = Replayed::from(row);
        if self.dry_run && self.rows.len() < LISTED {
            self.rows.push(replayed.clone());
        }
        self.first.get_or_insert_with(|| replayed.clone());
        self.last = Some(replayed);
    }
}

impl ReplayReport {
    /// Takes a row back that was counted: Kafka would refuse it.
    pub(crate) fn refuse(&mut self, row: &OutboxRow, reason: String) {
        self.records -= 1;
        if let Some(records) = self.topics.get_mut(row.aggregatetype()) {
            *records -= 1;
        }
        self.refused += 1;
        self.refused_because.get_or_insert_with(|| format!("event {}: {reason}", row.id));
    }
}

impl From<&Entry> for Replayed {
    fn from(row: &Entry) -> Self {
        Self {
            number: row.number,
            event_id: row.id,
            topic: row.topic.clone(),
            key: row.key.clone(),
            created_at: timestamp(row.created_at),
        }
    }
}

impl Display for ReplayReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let Replayed { number, event_id, topic, key, created_at } = row;
            writeln!(out, "{number:>12}  {event_id}  {created_at}  {topic}  {key}")?;
        }
        let listed = self.rows.len() as u64;
        if self.dry_run && self.records > listed {
            writeln!(out, "… and {} more", self.records - listed)?;
        }
        let (records, source) = (self.records, &self.source);
        match self.replay {
            Some(id) => {
                writeln!(out, "{records} records of {source} are sent again, as replay {id}")
            }
            None => writeln!(out, "{records} records of {source} would be sent again"),
        }?;
        for (topic, records) in &self.topics {
            writeln!(out, "  {topic}: {records}")?;
        }
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            writeln!(out, "  from number {} (event {})", first.number, first.event_id)?;
            writeln!(out, "  to number {} (event {})", last.number, last.event_id)?;
        }
        self.left_out(out)
    }
}

impl ReplayReport {
    fn left_out(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unpublished > 0 {
            writeln!(
                out,
                "{} rows are left out: the relay has them still to send",
                self.unpublished
            )?;
        }
        if self.parked > 0 {
            writeln!(out, "{} rows are left out: their keys are parked", self.parked)?;
        }
        if let Some(because) = &self.refused_because {
            writeln!(
                out,
                "{} rows are left out: Kafka would refuse them ({because})",
                self.refused
            )?;
        }
        if let Some(first) = self.dropped_below {
            writeln!(out, "rows below number {first} are gone: their partitions were dropped")?;
        }
        Ok(())
    }
}
