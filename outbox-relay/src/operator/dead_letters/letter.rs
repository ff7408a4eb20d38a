//! A dead letter as an operator reads it.

use std::fmt::{self, Display, Formatter};

use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde::Serialize;

use crate::fault::Fault;
use crate::operator::dead_letters::marks::Marks;
use crate::operator::topics::{Reader, Span};

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Letter {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) event_id: Option<String>,
    /// The word for why it was put aside.
    pub(crate) reason: Option<String>,
    /// The error in full.
    pub(crate) error: Option<String>,
    pub(crate) original_topic: Option<String>,
    pub(crate) original_partition: Option<String>,
    pub(crate) original_offset: Option<String>,
    pub(crate) attempts: Option<String>,
    /// When it was put aside.
    pub(crate) time: Option<String>,
    /// When it was redriven, if it was.
    pub(crate) redriven_at: Option<String>,
}

impl Letter {
    /// Reads what its headers say. Of several of the same name the last one is the consumer's own.
    pub(crate) fn read(message: &BorrowedMessage<'_>, marks: &Marks) -> Self {
        let header = |name: &str| header(message, name);
        let (partition, offset) = (message.partition(), message.offset());
        Self {
            topic: message.topic().to_owned(),
            partition,
            offset,
            key: message.key().map(|key| String::from_utf8_lossy(key).into_owned()),
            event_id: header("ce_id").or_else(|| header("id")),
            reason: header("dlq-reason"),
            error: header("dlq-error"),
            original_topic: header("dlq-original-topic"),
            original_partition: header("dlq-original-partition"),
            original_offset: header("dlq-original-offset"),
            attempts: header("dlq-attempts"),
            time: header("dlq-time"),
            redriven_at: marks.get(&(partition, offset)).cloned(),
        }
    }
}

/// Shows the letter at `offset` of `partition` to `visit`; says so if there is none. Blocks.
pub(crate) fn visit_one(
    reader: &Reader,
    topic: &str,
    partition: i32,
    offset: i64,
    mut visit: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let spans = existing_spans(reader, topic)?;
    let span = spans.iter().find(|span| span.partition == partition);
    let there = span.filter(|span| (span.first..span.end).contains(&offset));
    let mut found = false;
    if let Some(span) = there {
        let only = Span { first: offset, end: offset + 1, ..span.clone() };
        reader.read(topic, &[only], |message| {
            found = message.offset() == offset;
            if found { visit(message) } else { Ok(()) }
        })?;
    }
    if found {
        return Ok(());
    }
    Err(Fault::new(
        format!("topic {topic} has no record at partition {partition}, offset {offset}"),
        "see `outbox-relay dead-letters list`",
    ))
}

/// Where the topic begins and ends; says so if there is none. Blocks.
pub(crate) fn existing_spans(reader: &Reader, topic: &str) -> Result<Vec<Span>, Fault> {
    let spans = reader.spans(topic)?;
    if spans.is_empty() {
        return Err(Fault::new(
            format!("there is no topic {topic}, or it may not be seen"),
            "see `outbox-relay dead-letters list`",
        ));
    }
    Ok(spans)
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let last = headers.iter().filter(|header| header.key == name).last()?;
    Some(String::from_utf8_lossy(last.value?).into_owned())
}

impl Display for Letter {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
        let Self { partition, offset, .. } = self;
        write!(out, "partition {partition} offset {offset}: {}", text(&self.reason))?;
        write!(out, ", event {}, key {}", text(&self.event_id), text(&self.key))?;
        write!(
            out,
            ", from {} partition {} offset {}",
            text(&self.original_topic),
            text(&self.original_partition),
            text(&self.original_offset)
        )?;
        write!(out, ", after {} attempts, at {}", text(&self.attempts), text(&self.time))?;
        if let Some(at) = &self.redriven_at {
            write!(out, ", redriven at {at}")?;
        }
        write!(out, "\n    {}", text(&self.error))
    }
}
