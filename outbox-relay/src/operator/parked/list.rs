//! `parked list`.

use std::fmt::{self, Display};

use serde::Serialize;
use uuid::Uuid;

use crate::core::parked::ParkedKey;
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::error::CommandError;
use crate::operator::output::{as_text, milliseconds};
use crate::operator::parked::{ListOptions, PlaceArgs, followers, read};
use crate::operator::session::{Access, connect};
use crate::sources::SourceAddress;

/// A key that waits.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) source: String,
    pub(crate) topic: String,
    pub(crate) key: String,
    /// The event that was refused.
    #[serde(serialize_with = "as_text")]
    pub(crate) event_id: Uuid,
    /// Its number: from here on nothing of the key has been sent.
    pub(crate) number: i64,
    pub(crate) since: String,
    pub(crate) reason: String,
    /// How many events wait behind it, unless counting them takes too long.
    pub(crate) followers: Option<i64>,
}

#[derive(Debug, Serialize)]
struct List {
    parked: Vec<Entry>,
}

pub(super) async fn list(options: &ListOptions) -> Result<Verdict, CommandError> {
    let mut parked = Vec::new();
    for source in options.place.database.all()? {
        let entries = entries(&options.place, &source).await;
        parked.extend(
            entries.map_err(|fault| CommandError::Source { name: source.name.clone(), fault })?,
        );
    }
    options.place.output.print(&List { parked })?;
    Ok(Verdict::Fine)
}

async fn entries(place: &PlaceArgs, source: &SourceAddress) -> Result<Vec<Entry>, Fault> {
    let mut connection = connect(source, "parked", Access::Read).await?;
    let parked = read(&mut connection, place, source).await?;
    let keys: Vec<(&str, &str, &ParkedKey)> = parked.iter().collect();
    let followers = followers(&mut connection, &keys).await.unwrap_or_default();
    let entries = keys.into_iter().enumerate();
    Ok(entries
        .map(|(index, (topic, key, parked))| {
            Entry::new(&source.name, topic, key, parked, followers.get(index).copied())
        })
        .collect())
}

impl Entry {
    /// What is known of a key.
    pub(super) fn new(
        source: &str,
        topic: &str,
        key: &str,
        parked: &ParkedKey,
        followers: Option<i64>,
    ) -> Self {
        Self {
            source: source.to_owned(),
            topic: topic.to_owned(),
            key: key.to_owned(),
            event_id: parked.event_id,
            number: parked.first,
            since: milliseconds(parked.since_ms),
            reason: parked.reason.clone(),
            followers,
        }
    }
}

impl Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: key {} of topic {}", self.source, self.key, self.topic)?;
        writeln!(out, "  refused     event {} (number {})", self.event_id, self.number)?;
        writeln!(out, "  because     {}", self.reason)?;
        writeln!(out, "  since       {}", self.since)?;
        match self.followers {
            Some(followers) => writeln!(out, "  behind it   {followers} events"),
            None => writeln!(out, "  behind it   too many rows to count the events"),
        }
    }
}

impl Display for List {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parked.is_empty() {
            return write!(out, "no key is parked");
        }
        self.parked.iter().try_for_each(|entry| entry.fmt(out))
    }
}
