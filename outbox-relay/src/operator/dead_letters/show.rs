//! `dead-letters show`.

use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write as _};

use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde::Serialize;

use crate::blocking::blocking;
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::dead_letters::letter::{Letter, visit_one};
use crate::operator::dead_letters::{ShowOptions, marks};
use crate::operator::error::CommandError;
use crate::operator::topics::Reader;

/// A dead letter, whole.
#[derive(Debug, Serialize)]
struct ShowReport {
    #[serde(flatten)]
    letter: Letter,
    headers: Vec<(String, Option<String>)>,
    /// The payload, if it is text.
    payload: Option<String>,
    /// The payload, if it is not.
    payload_hex: Option<String>,
    #[serde(skip)]
    raw: Vec<u8>,
}

/// Shows it.
pub(crate) async fn show(options: &ShowOptions) -> Result<Verdict, CommandError> {
    let asked = options.clone();
    let report = blocking(move || {
        let (progress, letter) = (&asked.place.progress, &asked.letter);
        let marks = marks::read(progress, &letter.topic)?;
        let reader = Reader::new(&progress.kafka)?;
        let mut shown = None;
        visit_one(&reader, &letter.topic, letter.partition, asked.offset, |message| {
            shown = Some(ShowReport::of(message, Letter::read(message, &marks)));
            Ok(())
        })?;
        Ok::<_, Fault>(shown)
    })
    .await?;
    let Some(report) = report else { return Ok(Verdict::Trouble) };
    if options.raw {
        let mut out = io::stdout().lock();
        out.write_all(&report.raw)?;
        out.flush()?;
    } else {
        options.place.output.print(&report)?;
    }
    Ok(Verdict::Fine)
}

impl ShowReport {
    fn of(message: &BorrowedMessage<'_>, letter: Letter) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(text))).collect()
        });
        let raw = message.payload().unwrap_or_default().to_vec();
        let text = message.payload().and_then(|payload| std::str::from_utf8(payload).ok());
        let text = text.filter(|text| text.chars().all(|c| !c.is_control() || c.is_whitespace()));
        let payload_hex = match (message.payload(), text) {
            (Some(payload), None) => Some(hex(payload)),
            (_, Some(_)) | (None, None) => None,
        };
        Self { letter, headers, payload: text.map(str::to_owned), payload_hex, raw }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A string takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Display for ShowReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} {}", self.letter.topic, self.letter)?;
        writeln!(out, "headers:")?;
        for (name, value) in &self.headers {
            writeln!(out, "  {name}: {}", value.as_deref().unwrap_or("(none)"))?;
        }
        match (&self.payload, &self.payload_hex) {
            (Some(text), _) => writeln!(out, "payload, {} bytes of text:\n{text}", self.raw.len()),
            (None, Some(hex)) => writeln!(out, "payload, {} bytes, in hex:\n{hex}", self.raw.len()),
            (None, None) => writeln!(out, "no payload"),
        }
    }
}
