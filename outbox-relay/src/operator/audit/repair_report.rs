//! What a repair has done, for people and for programs.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::hash::{BuildHasher, RandomState};

use serde::Serialize;
use uuid::Uuid;

use crate::core::gaps::Gaps;
use crate::operator::Verdict;
use crate::operator::audit::comparison::Found;
use crate::operator::audit::findings::{Findings, list};
use crate::operator::audit::repair::REPAIR_HEADER;
use crate::operator::output::{as_optional_text, as_text};
use crate::operator::rows::Entry;

/// A key of a topic.
#[derive(Debug, Serialize)]
pub(crate) struct KeyOfTopic {
    pub(crate) topic: String,
    pub(crate) key: String,
}

/// A row that is left to the relay.
#[derive(Debug, Serialize)]
pub(crate) struct LeftRow {
    pub(crate) number: i64,
    #[serde(serialize_with = "as_text")]
    pub(crate) event_id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// How far the source is published now.
#[derive(Debug, Serialize)]
pub(crate) struct NewProgress {
    pub(crate) head: i64,
    /// How many numbers below it are open.
    pub(crate) open_numbers: i64,
}

/// What a repair has found and done.
#[derive(Debug, Serialize)]
pub(crate) struct RepairReport {
    #[serde(flatten)]
    pub(crate) findings: Findings,
    /// The value of the header; none in a dry run.
    #[serde(serialize_with = "as_optional_text")]
    pub(crate) repair: Option<Uuid>,
    /// How many of the missing rows were sent.
    pub(crate) sent: u64,
    /// Missing rows that Kafka would refuse, and what follows of their keys.
    pub(crate) left: Found<LeftRow>,
    /// Keys of which a later record was there already.
    pub(crate) order_lost: Found<KeyOfTopic>,
    /// To where the sequence was set forward.
    pub(crate) sequence_set_to: Option<i64>,
    /// None if it stays as it was.
    pub(crate) progress: Option<NewProgress>,
}

/// Keys that have been told of, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl Keys {
    /// Adds a row's key; says whether it is new.
    pub(crate) fn insert(&mut self, row: &Entry) -> bool {
        self.hashes.insert(self.hasher.hash_one((&row.topic, &row.key)))
    }

    /// Whether a row's key is among them.
    pub(crate) fn contain(&self, row: &Entry) -> bool {
        self.hashes.contains(&self.hasher.hash_one((&row.topic, &row.key)))
    }
}

impl LeftRow {
    /// The row, and why it is left.
    pub(crate) fn new(row: &Entry, reason: &str) -> Self {
        let Entry { number, id, topic, key, .. } = row.clone();
        Self { number, event_id: id, topic, key, reason: reason.to_owned() }
    }
}

impl NewProgress {
    /// Up to `head` but `gaps`.
    pub(crate) fn new(head: i64, gaps: &Gaps) -> Self {
        Self { head, open_numbers: gaps.iter().map(|run| run.last - run.first + 1).sum() }
    }
}

impl RepairReport {
    /// Of what was found, before anything is done about it.
    pub(crate) fn new(findings: Findings, repair: Option<Uuid>) -> Self {
        Self {
            findings,
            repair,
            sent: 0,
            left: Found::default(),
            order_lost: Found::default(),
            sequence_set_to: None,
            progress: None,
        }
    }

    /// Whether somebody should look after it still.
    pub(crate) fn verdict(&self) -> Verdict {
        let findings = &self.findings;
        let undone = self.repair.is_none()
            && (findings.missing.count > 0 || findings.discontinuity.is_some());
        let lasting = [
            self.left.count,
            self.order_lost.count,
            findings.without_row.count,
            findings.late.count,
        ];
        if undone || lasting.iter().any(|count| *count > 0) {
            Verdict::Trouble
        } else {
            Verdict::Fine
        }
    }
}

impl Display for RepairReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.findings)?;
        list(
            out,
            "keys have lost their order: a later record was there already",
            &self.order_lost,
        )?;
        match self.repair {
            Some(id) => {
                writeln!(out, "  {} rows are sent, with header {REPAIR_HEADER}: {id}", self.sent)
            }
            None => writeln!(out, "  {} rows would be sent", self.sent),
        }?;
        list(out, "rows are left to the relay, which parks their keys", &self.left)?;
        let dry_run = self.repair.is_none();
        if let Some(number) = self.sequence_set_to {
            let done = if dry_run { "would be" } else { "is" };
            writeln!(out, "  the sequence {done} set forward to {number}")?;
        }
        let Some(NewProgress { head, open_numbers }) = &self.progress else { return Ok(()) };
        let done = if dry_run { "would say" } else { "says now" };
        writeln!(
            out,
            "  the progress {done}: published up to number {head}, but for {open_numbers} numbers that are still looked for; the \
             relay goes on from there by itself"
        )
    }
}

impl Display for KeyOfTopic {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "topic {}, key {}", self.topic, self.key)
    }
}

impl Display for LeftRow {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { number, event_id, topic, key, reason } = self;
        write!(out, "number {number}, event {event_id}, topic {topic}, key {key}: {reason}")
    }
}
