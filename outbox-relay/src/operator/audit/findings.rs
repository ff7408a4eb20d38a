//! What an audit has found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::operator::Verdict;
use crate::operator::audit::compare::{Compared, TopicRead};
use crate::operator::audit::comparison::{Found, Late, Place};
use crate::operator::audit::missing::{Judged, MissingRow};
use crate::source::producer::Delivery;

/// What an audit has found.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) source: String,
    /// Why table and progress do not fit together, if they do not.
    pub(crate) discontinuity: Option<String>,
    /// Rows in the table.
    pub(crate) rows: u64,
    /// Rows that are not to be on a topic yet.
    pub(crate) waiting: u64,
    /// Rows whose keys are parked.
    pub(crate) parked: u64,
    /// Rows without a record, so old that their topics may have deleted it.
    pub(crate) too_old: u64,
    pub(crate) topics: BTreeMap<String, TopicRead>,
    /// Records that are the first of their rows.
    pub(crate) matched: u64,
    pub(crate) repaired: u64,
    pub(crate) replayed: u64,
    pub(crate) redriven: u64,
    /// Records of other writers.
    pub(crate) of_others: u64,
    /// Records whose rows may have gone with a dropped partition.
    pub(crate) older: u64,
    pub(crate) missing: Found<MissingRow>,
    pub(crate) repeats: Found<Place>,
    /// Whether a repeat is wrong.
    pub(crate) exactly_once: bool,
    pub(crate) without_row: Found<Place>,
    pub(crate) late: Found<Late>,
}

impl Findings {
    /// What is known once everything is compared; rows without a record are still to be judged.
    pub(crate) fn new(
        source: &str,
        discontinuity: Option<String>,
        delivery: Delivery,
        compared: &mut Compared,
    ) -> Self {
        let comparison = &mut compared.comparison;
        Self {
            source: source.to_owned(),
            discontinuity,
            rows: compared.rows as u64,
            waiting: 0,
            parked: 0,
            too_old: 0,
            topics: compared.topics.clone(),
            matched: comparison.matched,
            repaired: comparison.repaired,
            replayed: comparison.replayed,
            redriven: comparison.redriven,
            of_others: comparison.of_others,
            older: comparison.older,
            missing: Found::default(),
            repeats: std::mem::take(&mut comparison.repeats),
            exactly_once: delivery == Delivery::ExactlyOnce,
            without_row: std::mem::take(&mut comparison.without_row),
            late: std::mem::take(&mut comparison.late),
        }
    }

    /// Takes in how rows without a record were judged.
    pub(crate) fn take(&mut self, judged: &Judged, compared: &Compared) {
        self.parked += judged.parked;
        self.too_old += judged.too_old;
        for row in &judged.missing {
            self.missing.add(MissingRow::new(row, compared));
        }
    }

    /// Whether anything is wrong.
    pub(crate) fn verdict(&self) -> Verdict {
        let wrong = [self.missing.count, self.without_row.count, self.late.count];
        let repeated = self.exactly_once && self.repeats.count > 0;
        if self.discontinuity.is_some() || repeated || wrong.iter().any(|count| *count > 0) {
            Verdict::Trouble
        } else {
            Verdict::Fine
        }
    }
}

impl Display for Findings {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let records: u64 = self.topics.values().map(|topic| topic.records).sum();
        let Self { source, rows, topics, .. } = self;
        writeln!(
            out,
            "{source}: {rows} rows and {records} records of {} topics compared",
            topics.len()
        )?;
        if let Some(discontinuity) = &self.discontinuity {
            writeln!(out, "  {discontinuity}")?;
        }
        for (topic, _) in topics.iter().filter(|(_, read)| !read.exists) {
            writeln!(out, "  there is no topic {topic}")?;
        }
        self.wrong(out)?;
        self.excused(out)?;
        match self.verdict() {
            Verdict::Fine => writeln!(out, "  nothing is missing, invented or out of order"),
            Verdict::Trouble => Ok(()),
        }
    }
}

impl Findings {
    fn wrong(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let missing = match &self.discontinuity {
            Some(_) => "rows are on no topic",
            None => "rows are published as the progress says, and on no topic",
        };
        list(out, missing, &self.missing)?;
        let repeats = if self.exactly_once {
            "records stand once more, though exactly once was asked for"
        } else {
            "records stand once more, as at least once allows after a crash"
        };
        list(out, repeats, &self.repeats)?;
        let without_row =
            "records have no row: the table has lost it, or something else writes as this source";
        list(out, without_row, &self.without_row)?;
        let late = "records stand behind later ones of their key: a writer has not locked its aggregate, or the relay failed";
        list(out, late, &self.late)
    }

    fn excused(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (count, what) in [
            (self.waiting, "rows wait to be published"),
            (self.parked, "rows wait because their keys are parked"),
            (self.too_old, "rows are so old that their topics may have deleted the record"),
            (self.older, "records are older than the table: their partitions were dropped"),
            (self.of_others, "records are of other writers"),
            (self.repaired, "records were sent by a repair"),
            (self.replayed, "records were sent again by a replay"),
            (self.redriven, "records were sent again out of a dead-letter topic"),
        ] {
            if count > 0 {
                writeln!(out, "  {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// Writes the count and the first of what was found.
pub(crate) fn list<T: Display>(
    out: &mut Formatter<'_>,
    what: &str,
    found: &Found<T>,
) -> fmt::Result {
    if found.count == 0 {
        return Ok(());
    }
    writeln!(out, "  {} {what}:", found.count)?;
    for one in &found.first {
        writeln!(out, "    {one}")?;
    }
    let more = found.count - found.first.len() as u64;
    if more > 0 {
        writeln!(out, "    … and {more} more")?;
    }
    Ok(())
}

impl Display for MissingRow {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { number, event_id, topic, key, overtaken } = self;
        write!(out, "number {number}, event {event_id}, topic {topic}, key {key}")?;
        if *overtaken { write!(out, ": a later record of its key is there") } else { Ok(()) }
    }
}

impl Display for Place {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { event_id, topic, partition, offset } = self;
        match event_id {
            Some(id) => write!(out, "event {id}, ")?,
            None => write!(out, "an event without an id, ")?,
        }
        write!(out, "topic {topic}, partition {partition}, offset {offset}")
    }
}

impl Display for Late {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "number {} behind {}: {}", self.number, self.behind, self.place)
    }
}
