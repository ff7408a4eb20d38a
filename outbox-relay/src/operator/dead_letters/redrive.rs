//! `dead-letters redrive`: each letter and the mark that it was sent are in one Kafka transaction, so that `--all` sends none twice,
//! whenever it is killed or run beside itself: of two at once the later one ends the other's transactions.

use std::fmt::{self, Display, Formatter};

use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use runtime::fail_points::{self, road};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::blocking::blocking;
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::dead_letters::letter::{Letter, existing_spans, visit_one};
use crate::operator::dead_letters::marks::{self, Marks};
use crate::operator::dead_letters::{REDRIVEN_HEADER, RedriveOptions};
use crate::operator::error::CommandError;
use crate::operator::output::now;
use crate::operator::sender::Sender;
use crate::operator::topics::{Reader, Span};
use crate::source::producer::Delivery;

/// How many letters are told one by one.
const SHOWN: usize = 100;

/// A letter that was not sent, and why.
#[derive(Debug, Serialize)]
struct Left {
    partition: i32,
    offset: i64,
    reason: String,
}

/// What was redriven.
#[derive(Debug, Default, Serialize)]
struct RedriveReport {
    topic: String,
    dry_run: bool,
    /// How many letters were sent, or would be.
    redriven: u64,
    /// The first of them.
    letters: Vec<Letter>,
    /// How many had been redriven before.
    already: u64,
    /// How many could not be sent.
    left: u64,
    /// The first of them.
    left_letters: Vec<Left>,
}

/// Sends them.
pub(crate) async fn redrive(options: &RedriveOptions) -> Result<Verdict, CommandError> {
    fail_points::arm(&options.fail_points);
    let sender = if options.dry_run {
        None
    } else {
        let owner = format!("~dead-letters.{}", options.letter.topic);
        Some(Sender::start(&options.place.progress, &owner, Delivery::ExactlyOnce).await?)
    };
    let (asked, runtime) = (options.clone(), Handle::current());
    let (report, sender) = blocking(move || {
        // Read after the start, which has ended what another redrive had under way.
        let marks = marks::read(&asked.place.progress, &asked.letter.topic)?;
        let report = RedriveReport {
            topic: asked.letter.topic.clone(),
            dry_run: asked.dry_run,
            ..RedriveReport::default()
        };
        let mut redrive = Redrive { options: asked, runtime, marks, sender, report };
        redrive.run()?;
        Ok::<_, Fault>((redrive.report, redrive.sender))
    })
    .await?;
    if let Some(sender) = sender {
        sender.stop().await;
    }
    options.place.output.print(&report)?;
    Ok(if report.left > 0 { Verdict::Trouble } else { Verdict::Fine })
}

/// A redrive under way, where blocking is allowed.
struct Redrive {
    options: RedriveOptions,
    runtime: Handle,
    marks: Marks,
    /// None in a dry run.
    sender: Option<Sender>,
    report: RedriveReport,
}

impl Redrive {
    fn run(&mut self) -> Result<(), Fault> {
        let reader = Reader::new(&self.options.place.progress.kafka)?;
        let (topic, partition) = (self.options.letter.topic.clone(), self.options.letter.partition);
        let spans = existing_spans(&reader, &topic)?;
        match self.options.offset {
            Some(offset) => {
                visit_one(&reader, &topic, partition, offset, |message| self.take(message))?;
            }
            None => reader.read(&topic, &spans, |message| self.take(message))?,
        }
        self.forget_deleted(&spans)?;
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let settled = self.runtime.block_on(async {
            fail_points::pass(road::REDRIVE_SENT).await.map_err(|error| error.to_string())?;
            sender.settle().await.map_err(|error| error.to_string())
        });
        settled.map_err(|reason| stopped(&reason))
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Fault> {
        let letter = Letter::read(message, &self.marks);
        if letter.redriven_at.is_some() && !self.options.again {
            self.report.already += 1;
            return Ok(());
        }
        let Some(original) = &letter.original_topic else {
            self.report.leave(&letter, "it has no header dlq-original-topic".to_owned());
            return Ok(());
        };
        if let Some(sender) = &mut self.sender {
            let Letter { topic, partition, offset, .. } = &letter;
            let headers = headers(message, &format!("{topic}/{partition}/{offset}"));
            let sent = sender.forward(message, original, headers);
            if let Some(reason) =
                self.runtime.block_on(sent).map_err(|error| stopped(&error.to_string()))?
            {
                self.report.leave(&letter, reason);
                return Ok(());
            }
            let key = marks::key(topic, *partition, *offset);
            let progress_topic = &self.options.place.progress.progress_topic;
            sender
                .send_progress(progress_topic, key.as_bytes(), Some(now().as_bytes()))
                .map_err(|error| stopped(&error.to_string()))?;
        }
        self.report.redriven += 1;
        if self.report.letters.len() < SHOWN {
            self.report.letters.push(letter);
        }
        Ok(())
    }

    /// Removes the marks of letters that their topic has deleted.
    fn forget_deleted(&mut self, spans: &[Span]) -> Result<(), Fault> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        for (partition, offset) in self.marks.keys() {
            let span = spans.iter().find(|span| span.partition == *partition);
            if span.is_some_and(|span| *offset < span.first) {
                let key = marks::key(&self.options.letter.topic, *partition, *offset);
                let progress_topic = &self.options.place.progress.progress_topic;
                sender
                    .send_progress(progress_topic, key.as_bytes(), None)
                    .map_err(|error| stopped(&error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// The record's own headers, and where it comes from.
fn headers(message: &BorrowedMessage<'_>, from: &str) -> OwnedHeaders {
    let own = message.headers().into_iter().flat_map(Headers::iter);
    own.filter(|header| !header.key.starts_with("dlq-"))
        .fold(OwnedHeaders::new(), OwnedHeaders::insert)
        .insert(Header { key: REDRIVEN_HEADER, value: Some(from) })
}

fn stopped(reason: &str) -> Fault {
    Fault::new(
        format!("the redrive has stopped ({reason})"),
        "see whether Kafka is up and lets this user write to it in transactions, and redrive again: nothing is sent twice",
    )
}

impl RedriveReport {
    fn leave(&mut self, letter: &Letter, reason: String) {
        self.left += 1;
        if self.left_letters.len() < SHOWN {
            let Letter { partition, offset, .. } = *letter;
            self.left_letters.push(Left { partition, offset, reason });
        }
    }
}

impl Display for RedriveReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { topic, redriven, already, left, .. } = self;
        let done = if self.dry_run { "would be redriven" } else { "are redriven" };
        writeln!(out, "{redriven} dead letters of {topic} {done}")?;
        for letter in &self.letters {
            writeln!(out, "  {letter}")?;
        }
        if *redriven > self.letters.len() as u64 {
            writeln!(out, "  … and {} more", redriven - self.letters.len() as u64)?;
        }
        if *already > 0 {
            writeln!(out, "{already} had been redriven before, and are not sent again")?;
        }
        if *left > 0 {
            writeln!(out, "{left} cannot be redriven:")?;
        }
        for Left { partition, offset, reason } in &self.left_letters {
            writeln!(out, "  partition {partition}, offset {offset}: {reason}")?;
        }
        Ok(())
    }
}
