//! Sends rows for a command as the relay sends them, in their order, each marked by a header that says why.
//!
//! They go out in portions, and a portion is certain before the next one begins: acknowledged, or committed. So memory is bounded.

use std::time::Duration;

use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::metrics::{Metrics, SourceMetrics};
use crate::operator::arguments::ProgressArgs;
use crate::source::destinations::Destinations;
use crate::source::producer::{Delivery, Producer, Purpose, SendError};
use crate::source::record::{self, Record};
use crate::source::row::OutboxRow;

/// Records of one portion.
const PORTION_RECORDS: usize = 5_000;

/// Bytes after which a portion ends.
const PORTION_BYTES: usize = 8 << 20;

/// What the headers of a forwarded message may take.
const HEADERS_BYTES: usize = 4_096;

/// How long Kafka may acknowledge nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A header by which a record shows why it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: String,
}

/// A producer of rows.
pub(crate) struct Sender {
    progress: ProgressArgs,
    source: String,
    delivery: Delivery,
    destinations: Destinations,
    metrics: SourceMetrics,
    producer: Producer,
    /// The largest batch of the producer.
    batch_bytes: usize,
    in_transaction: bool,
    /// Records of the open portion, rows and progress, and their bytes.
    records: usize,
    bytes: usize,
}

impl Sender {
    /// Starts a producer for `source`. Exactly once, this ends what a relay of this source has under way.
    pub(crate) async fn start(
        progress: &ProgressArgs,
        source: &str,
        delivery: Delivery,
    ) -> Result<Self, Fault> {
        let ProgressArgs { kafka, progress_topic } = progress;
        let failed = |error| Fault::of_kafka(&error, &kafka.brokers, &[]);
        let destinations = Destinations::new(kafka).map_err(failed)?;
        let batch_bytes = destinations.batch_bytes();
        let purpose = Purpose { delivery, source, progress_topic, batch_bytes };
        let metrics = Metrics::register(&mut runtime::metrics::registry()).source(source);
        let producer = Producer::new(kafka, &purpose, metrics.clone()).map_err(failed)?;
        let sender = Self {
            progress: progress.clone(),
            source: source.to_owned(),
            delivery,
            destinations,
            metrics,
            producer,
            batch_bytes,
            in_transaction: false,
            records: 0,
            bytes: 0,
        };
        sender.fence().await.map_err(|error| {
            let cure = "see whether Kafka is up and lets this user write to it in transactions";
            Fault::new(format!("no transaction can be begun ({error})"), cure)
        })?;
        Ok(sender)
    }

    /// Sends a row, with `mark` among its headers, or says why Kafka would refuse it for good.
    pub(crate) async fn send(
        &mut self,
        row: &OutboxRow,
        mark: &Mark,
    ) -> Result<Option<String>, SendError> {
        let wire_bytes = record::wire_bytes(row) + mark.name.len() + mark.value.len();
        if let Some(reason) = self.prepare(row.aggregatetype(), wire_bytes).await? {
            return Ok(Some(reason));
        }
        let Mark { name, value } = mark.clone();
        let record = Record::new(row).marked(name, value);
        let sent = self.producer.send(0, &record);
        self.count(record::bytes(row), sent)
    }

    /// Sends key and value of `message` to `topic`, with these headers, or says why Kafka would refuse it for good.
    pub(crate) async fn forward(
        &mut self,
        message: &BorrowedMessage<'_>,
        topic: &str,
        headers: OwnedHeaders,
    ) -> Result<Option<String>, SendError> {
        let bytes = message.key_len() + message.payload_len() + HEADERS_BYTES;
        if let Some(reason) = self.prepare(topic, bytes).await? {
            return Ok(Some(reason));
        }
        let sent = self.producer.forward(0, message, topic, headers);
        self.count(bytes, sent)
    }

    /// Sends a progress record; no value removes it.
    pub(crate) fn send_progress(
        &mut self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), SendError> {
        self.open()?;
        self.records += 1;
        self.producer.send_progress(topic, key, value)
    }

    /// Makes certain that all that was sent has arrived.
    pub(crate) async fn settle(&mut self) -> Result<(), SendError> {
        if std::mem::take(&mut self.in_transaction) {
            let committed = self.producer.commit().await;
            // Why a record was refused tells more than that the transaction cannot be committed.
            self.take_reports()?;
            committed?;
        }
        while self.records > 0 {
            self.take_reports()?;
            if self.records > 0 && timeout(PATIENCE, self.producer.news()).await.is_err() {
                return Err(self.silence());
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// Stops; what is not settled may or may not arrive.
    pub(crate) async fn stop(self) {
        end(self.producer).await;
    }

    /// Makes ready for a record of so many bytes, unless Kafka would refuse it.
    async fn prepare(&mut self, topic: &str, bytes: usize) -> Result<Option<String>, SendError> {
        if let Some(refusal) = self.destinations.refusal(topic, bytes).await {
            return Ok(Some(refusal.reason));
        }
        if self.records >= PORTION_RECORDS || self.bytes >= PORTION_BYTES {
            self.settle().await?;
        }
        if self.destinations.batch_bytes() < self.batch_bytes {
            self.settle().await?;
            self.renew().await?;
        }
        self.open()?;
        Ok(None)
    }

    /// Takes another producer, with batches that every topic takes.
    async fn renew(&mut self) -> Result<(), SendError> {
        self.batch_bytes = self.destinations.batch_bytes();
        let purpose = Purpose {
            delivery: self.delivery,
            source: &self.source,
            progress_topic: &self.progress.progress_topic,
            batch_bytes: self.batch_bytes,
        };
        let producer = Producer::new(&self.progress.kafka, &purpose, self.metrics.clone())
            .map_err(|error| SendError::Unknown { reason: error.to_string() })?;
        end(std::mem::replace(&mut self.producer, producer)).await;
        self.fence().await
    }

    async fn fence(&self) -> Result<(), SendError> {
        match self.delivery {
            Delivery::AtLeastOnce => Ok(()),
            Delivery::ExactlyOnce => self.producer.fence().await,
        }
    }

    /// Counts a record that was handed over, if it was.
    fn count(
        &mut self,
        bytes: usize,
        sent: Result<(), SendError>,
    ) -> Result<Option<String>, SendError> {
        match sent {
            Ok(()) => {
                self.records += 1;
                self.bytes += bytes;
                Ok(None)
            }
            Err(SendError::Refused { reason, .. }) => Ok(Some(reason)),
            Err(failure @ SendError::Unknown { .. }) => Err(failure),
        }
    }

    /// Opens a transaction if records go into transactions and none is open.
    fn open(&mut self) -> Result<(), SendError> {
        if self.delivery == Delivery::ExactlyOnce && !self.in_transaction {
            self.producer.begin()?;
            self.in_transaction = true;
        }
        Ok(())
    }

    fn take_reports(&mut self) -> Result<(), SendError> {
        let reports = self.producer.reports();
        let rows: usize = reports.pages.iter().map(|(_, records)| records).sum();
        self.records -= rows + reports.progress;
        reports.failure.map_or(Ok(()), Err)
    }

    fn silence(&self) -> SendError {
        let trouble = self.producer.last_error();
        let trouble = trouble.as_deref().unwrap_or("no error reported");
        let seconds = PATIENCE.as_secs();
        let reason = format!("Kafka has acknowledged nothing for {seconds} s ({trouble})");
        SendError::Unknown { reason }
    }
}

/// Drops a producer where blocking is allowed: the client waits a little for its threads.
async fn end(producer: Producer) {
    // That it fails changes nothing of what was settled.
    let _ended = tokio::task::spawn_blocking(move || producer.abandon()).await;
}
