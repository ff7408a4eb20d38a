//! Which of the rows that no record is of are really missing from their topics.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::core::gaps::{Gaps, Run};
use crate::core::parked::Parked;
use crate::core::position::Position;
use crate::fault::Fault;
use crate::operator::audit::compare::{Compared, TopicRead};
use crate::operator::output::as_text;
use crate::operator::rows::{Entry, Rows};

/// Numbers looked up at once.
const BATCH: usize = 5_000;

/// What is expected to stand on the topics.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Of the rows up to its head but its gaps; of all visible rows where it is not known.
    pub(crate) published: Option<Position>,
    /// But not of the rows that these hold back.
    pub(crate) parked: Parked,
    /// Where all visible rows are expected: those that a former progress calls published, if there was one.
    pub(crate) formerly: Option<Position>,
}

/// A row that no topic has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MissingRow {
    pub(crate) number: i64,
    #[serde(serialize_with = "as_text")]
    pub(crate) event_id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    /// Whether a later record of the key is there, so that its order is lost.
    pub(crate) overtaken: bool,
}

/// How the rows without a record are judged.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Missing, in the order of their numbers.
    pub(crate) missing: Vec<Entry>,
    /// Not sent because their keys are parked.
    pub(crate) parked: u64,
    /// So old that their topics may have deleted them.
    pub(crate) too_old: u64,
}

impl Expected {
    /// The numbers that should stand on a topic and do not, ascending; and how many rows are not expected there.
    pub(crate) fn unseen(&self, compared: &Compared) -> (Vec<i64>, u64) {
        let mut unseen = compared.comparison.unseen();
        let before = unseen.len();
        unseen.retain(|number| self.published.as_ref().is_none_or(|known| known.is_done(*number)));
        let waiting = before - unseen.len();
        (unseen, waiting as u64)
    }

    /// Judges the next [`BATCH`] of `numbers`.
    pub(crate) async fn judge(
        &self,
        rows: &mut Rows,
        numbers: &[i64],
        topics: &BTreeMap<String, TopicRead>,
    ) -> Result<Judged, Fault> {
        let mut wanted = Gaps::default();
        for &number in numbers {
            wanted.insert(Run { first: number, last: number });
        }
        let mut judged = Judged::default();
        while !wanted.is_empty() {
            for row in rows.page(&mut wanted).await? {
                if self.parked.holds(&row.topic, &row.key, row.number) {
                    judged.parked += 1;
                } else if self.may_be_deleted(&row, topics) {
                    judged.too_old += 1;
                } else {
                    judged.missing.push(row);
                }
            }
        }
        Ok(judged)
    }

    fn may_be_deleted(&self, row: &Entry, topics: &BTreeMap<String, TopicRead>) -> bool {
        let deleted = topics.get(&row.topic).and_then(|topic| topic.deleted_up_to_ms);
        let is_old = deleted.is_some_and(|deleted| row.created_at_ms() <= deleted);
        let was_published = self.published.is_some()
            || self.formerly.as_ref().is_none_or(|known| known.is_done(row.number));
        is_old && was_published
    }
}

/// `numbers` in portions to be judged one after another.
pub(crate) fn batches(numbers: &[i64]) -> impl Iterator<Item = &[i64]> {
    numbers.chunks(BATCH)
}

impl MissingRow {
    /// The row, and whether something has overtaken it.
    pub(crate) fn new(row: &Entry, compared: &Compared) -> Self {
        let overtaken =
            compared.comparison.is_overtaken(&row.topic, row.key.as_bytes(), row.number);
        Self {
            number: row.number,
            event_id: row.id,
            topic: row.topic.clone(),
            key: row.key.clone(),
            overtaken,
        }
    }
}
