//! What becomes of the rows that were read: each is handed to the producer, or its key waits for an operator.
//!
//! An event that Kafka refuses for good parks its key from there on; what follows of that key is read past, and stays in the
//! table. Everything else flows.

use std::time::{SystemTime, UNIX_EPOCH};

use runtime::fail_points::{self, road};

use crate::core::caution::Caution;
use crate::core::ledger::Ledger;
use crate::core::parked::ParkedKey;
use crate::source::Source;
use crate::source::destinations::{Destinations, Refusal};
use crate::source::leader::LeadError;
use crate::source::producer::{Producer, SendError};
use crate::source::record::{self, Record};
use crate::source::row::OutboxRow;
use crate::source::trace;

/// Hands the rows of the ledger's open page on.
pub(crate) struct Dispatch<'a> {
    pub(crate) source: &'a Source,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) producer: &'a Producer,
    pub(crate) destinations: &'a mut Destinations,
    pub(crate) caution: &'a mut Caution,
    /// The open page.
    pub(crate) page: usize,
}

impl Dispatch<'_> {
    /// Sends each row, or passes it because its key waits. Answers how many were sent.
    pub(crate) async fn send_all(&mut self, rows: &[OutboxRow]) -> Result<usize, LeadError> {
        let mut sent = 0;
        for (index, row) in rows.iter().enumerate() {
            if index == rows.len() / 2 {
                fail_points::pass(road::RELAY_PRODUCING).await?;
            }
            if self.ledger.parked().holds(row.aggregatetype(), row.aggregateid(), row.sequence) {
                self.pass();
            } else {
                sent += usize::from(self.send(row, None).await?);
            }
        }
        Ok(sent)
    }

    /// Sends one row, or parks its key. Answers whether it was sent. `replaced` says what was put in the place of its payload.
    pub(crate) async fn send(
        &mut self,
        row: &OutboxRow,
        replaced: Option<String>,
    ) -> Result<bool, LeadError> {
        if let Some(refusal) = self.refusal(row).await {
            self.park(row, refusal)?;
            return Ok(false);
        }
        let mut record = Record::new(row);
        if self.source.tracing {
            record = record.traced(trace::context(row));
        }
        if let Some(note) = replaced {
            record = record.marked("outbox-relay-replaced", note);
        }
        match self.producer.send(self.page, &record) {
            Ok(()) => Ok(true),
            // Refused before anything was sent: nothing else is touched by it.
            Err(SendError::Refused { reason, .. }) => {
                self.park(row, Refusal { reason, topic_is_missing: false })?;
                Ok(false)
            }
            Err(failure @ SendError::Unknown { .. }) => Err(failure.into()),
        }
    }

    async fn refusal(&mut self, row: &OutboxRow) -> Option<Refusal> {
        if let Some(reason) = self.caution.refusal(row.id) {
            return Some(Refusal { reason: reason.to_owned(), topic_is_missing: false });
        }
        self.destinations.refusal(row.aggregatetype(), record::wire_bytes(row)).await
    }

    /// Sets the row's key aside from this row on.
    fn park(&mut self, row: &OutboxRow, refusal: Refusal) -> Result<(), LeadError> {
        let Refusal { reason, topic_is_missing } = refusal;
        if self.ledger.parked().len() >= self.source.limits.parked_keys {
            return Err(LeadError::TooManyParked { count: self.ledger.parked().len(), reason });
        }
        tracing::error!(
            source = self.source.name,
            topic = row.aggregatetype(),
            event.id = %row.id,
            sequence = row.sequence,
            reason,
            "an event is refused for good; its key is parked"
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let parked = ParkedKey {
            first: row.sequence,
            event_id: row.id,
            since_ms: i64::try_from(now.as_millis()).unwrap_or_default(),
            topic_is_missing,
            reason,
        };
        self.ledger.park(row.aggregatetype(), row.aggregateid(), parked);
        self.source.metrics.failed();
        self.pass();
        Ok(())
    }

    /// The row just taken is not sent.
    fn pass(&mut self) {
        self.ledger.pass();
        self.caution.passed(1);
    }
}
