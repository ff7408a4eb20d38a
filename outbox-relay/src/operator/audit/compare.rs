//! Reads the table and its topics, in an order in which neither can be found wanting for being read too early.
//!
//! 1. The progress is read before: every row it calls published was committed before, and so is seen in 2.
//! 2. All visible rows. Their topics are the topics that are read.
//! 3. Where those topics end. A record below was published from a row that was committed before.
//! 4. The rows that have become visible since 2, so that no such record is without its row.
//! 5. The records up to those ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde::Serialize;
use uuid::Uuid;

use crate::blocking::blocking;
use crate::core::gaps::{Gaps, Run};
use crate::core::position::Position;
use crate::fault::Fault;
use crate::kafka::KafkaOptions;
use crate::operator::audit::comparison::{Comparison, Record, RowSet, Sent};
use crate::operator::audit::kept::{self, Policy};
use crate::operator::audit::repair::REPAIR_HEADER;
use crate::operator::dead_letters::REDRIVEN_HEADER;
use crate::operator::meter::Meter;
use crate::operator::replay::REPLAY_HEADER;
use crate::operator::rows::Rows;
use crate::operator::topics::{Reader, Span};

/// What a topic has told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TopicRead {
    /// Whether there is such a topic.
    pub(crate) exists: bool,
    /// How many records it has.
    pub(crate) records: u64,
    /// Up to when records may have been deleted, in milliseconds since 1970.
    pub(crate) deleted_up_to_ms: Option<i64>,
}

/// Table and topics, compared.
pub(crate) struct Compared {
    pub(crate) comparison: Comparison,
    /// What is visible in the table: its numbers up to the head, but for the gaps.
    pub(crate) visible: Position,
    /// How many rows that is.
    pub(crate) rows: usize,
    pub(crate) topics: BTreeMap<String, TopicRead>,
}

/// Compares all there is; refuses more than `max_rows` rows.
pub(crate) async fn compare(
    rows: &mut Rows,
    kafka: &KafkaOptions,
    max_rows: usize,
) -> Result<Compared, Fault> {
    let first = rows.first_number().await?.max(1);
    let mut table = Table {
        rows: RowSet::default(),
        topics: BTreeSet::new(),
        visible: Position::new(first - 1, Gaps::default()),
        max_rows,
    };
    table.look(rows).await?;
    let names: Vec<String> = table.topics.iter().cloned().collect();
    let policies = kept::policies(kafka, &names).await;
    let (reader, topics) = blocking({
        let (kafka, names) = (kafka.clone(), names);
        move || {
            let reader = Reader::new(&kafka)?;
            let spans = names.into_iter().map(|name| Ok((reader.spans(&name)?, name)));
            let topics: Vec<(Vec<Span>, String)> = spans.collect::<Result<_, Fault>>()?;
            Ok((reader, topics))
        }
    })
    .await?;
    table.look(rows).await?;
    let (visible, count) = (table.visible, table.rows.len());
    let comparison = table.rows.compare(first == 1);
    let (comparison, topics) =
        blocking(move || read_topics(&reader, topics, &policies, comparison)).await?;
    Ok(Compared { comparison, visible, rows: count, topics })
}

/// The rows that have been seen.
struct Table {
    rows: RowSet,
    topics: BTreeSet<String>,
    visible: Position,
    max_rows: usize,
}

impl Table {
    /// Adds the rows that have not been seen, all as of one moment.
    async fn look(&mut self, rows: &mut Rows) -> Result<(), Fault> {
        rows.begin_snapshot().await?;
        self.scan(rows).await?;
        rows.end_snapshot().await
    }

    async fn scan(&mut self, rows: &mut Rows) -> Result<(), Fault> {
        let mut unseen = self.visible.gaps().clone();
        unseen.insert(Run { first: self.visible.head() + 1, last: i64::MAX });
        let mut meter = Meter::new();
        while !unseen.is_empty() {
            for row in rows.page(&mut unseen).await? {
                self.visible.take(row.number);
                self.rows.add(row.number, row.id, &row.source, row.created_at_ms());
                if !self.topics.contains(&row.topic) {
                    self.topics.insert(row.topic);
                }
            }
            if self.rows.len() > self.max_rows {
                return Err(too_many(self.max_rows));
            }
            meter.tell(|| format!("{} rows read", self.rows.len()));
        }
        Ok(())
    }
}

fn read_topics(
    reader: &Reader,
    topics: Vec<(Vec<Span>, String)>,
    policies: &HashMap<String, Policy>,
    mut comparison: Comparison,
) -> Result<(Comparison, BTreeMap<String, TopicRead>), Fault> {
    let mut read = BTreeMap::new();
    let mut meter = Meter::new();
    for (spans, topic) in topics {
        let (mut records, mut oldest) = (0, HashMap::new());
        reader.read(&topic, &spans, |message| {
            let record = record(message);
            comparison.take(&record);
            oldest.entry(record.partition).or_insert(record.timestamp_ms);
            records += 1;
            meter.tell(|| format!("{topic}: {records} records read"));
            Ok(())
        })?;
        let policy = policies.get(&topic).copied().unwrap_or_default();
        let deleted_up_to_ms = kept::horizon(policy, &spans, &oldest, kept::now_ms());
        read.insert(topic, TopicRead { exists: !spans.is_empty(), records, deleted_up_to_ms });
    }
    Ok((comparison, read))
}

fn record<'a>(message: &'a BorrowedMessage<'_>) -> Record<'a> {
    let mut record = Record {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().unwrap_or_default(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        event_id: None,
        source: "",
        sent: Sent::Ordinarily,
    };
    let Some(headers) = message.headers() else { return record };
    for header in headers.iter() {
        let text = || header.value.and_then(|value| std::str::from_utf8(value).ok());
        match header.key {
            "ce_id" => record.event_id = text().and_then(|id| Uuid::try_parse(id).ok()),
            // Where Debezium's EventRouter puts it unless told otherwise.
            "id" if record.event_id.is_none() => {
                record.event_id = text().and_then(|id| Uuid::try_parse(id.trim_matches('"')).ok());
            }
            "ce_source" => record.source = text().unwrap_or_default(),
            REPAIR_HEADER => record.sent = Sent::ByRepair,
            REPLAY_HEADER => record.sent = Sent::ByReplay,
            REDRIVEN_HEADER => record.sent = Sent::ByRedrive,
            _ => {}
        }
    }
    record
}

fn too_many(max_rows: usize) -> Fault {
    let megabytes = max_rows.saturating_mul(48) >> 20;
    Fault::new(
        format!("the table has more than {max_rows} rows"),
        format!("raise --max-rows; {max_rows} rows take up to {megabytes} MB, and that many keys"),
    )
}
