//! `dead-letters list`.

use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::blocking::blocking;
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::dead_letters::letter::{Letter, existing_spans};
use crate::operator::dead_letters::{ListOptions, SUFFIX, marks};
use crate::operator::error::CommandError;
use crate::operator::topics::Reader;

/// The dead letters of a topic.
#[derive(Debug, Serialize)]
struct TopicLetters {
    topic: String,
    count: u64,
    /// How many of them were not redriven.
    waiting: u64,
    /// The newest, oldest first.
    letters: VecDeque<Letter>,
}

/// The dead letters of all topics.
#[derive(Debug, Serialize)]
struct ListReport {
    topics: Vec<TopicLetters>,
}

/// Lists them.
pub(crate) async fn list(options: &ListOptions) -> Result<Verdict, CommandError> {
    let asked = options.clone();
    let report = blocking(move || look(&asked)).await?;
    options.place.output.print(&report)?;
    Ok(Verdict::Fine)
}

fn look(options: &ListOptions) -> Result<ListReport, Fault> {
    let reader = Reader::new(&options.place.progress.kafka)?;
    let names = match &options.topic {
        Some(topic) => vec![topic.clone()],
        None => reader.topics()?.into_iter().filter(|name| name.ends_with(SUFFIX)).collect(),
    };
    let topics = names.into_iter().map(|topic| of_topic(&reader, topic, options));
    Ok(ListReport { topics: topics.collect::<Result<_, _>>()? })
}

fn of_topic(reader: &Reader, topic: String, options: &ListOptions) -> Result<TopicLetters, Fault> {
    let marks = marks::read(&options.place.progress, &topic)?;
    let spans = existing_spans(reader, &topic)?;
    let mut found = TopicLetters { topic, count: 0, waiting: 0, letters: VecDeque::new() };
    let (count, waiting, letters) = (&mut found.count, &mut found.waiting, &mut found.letters);
    reader.read(&found.topic, &spans, |message| {
        let letter = Letter::read(message, &marks);
        *count += 1;
        *waiting += u64::from(letter.redriven_at.is_none());
        letters.push_back(letter);
        if letters.len() > options.limit {
            letters.pop_front();
        }
        Ok(())
    })?;
    Ok(found)
}

impl Display for ListReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if self.topics.is_empty() {
            return writeln!(out, "there is no topic whose name ends in {SUFFIX}");
        }
        for TopicLetters { topic, count, waiting, letters } in &self.topics {
            writeln!(out, "{topic}: {count} dead letters, {waiting} of them not redriven")?;
            let older = count - letters.len() as u64;
            if older > 0 {
                writeln!(out, "  … {older} older ones: see --limit")?;
            }
            for letter in letters {
                writeln!(out, "  {letter}")?;
            }
        }
        Ok(())
    }
}
