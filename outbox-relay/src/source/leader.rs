//! The loop of the relay that leads a source: look, send, take acknowledgements, keep the progress, sleep.

use std::time::Duration;

use runtime::Shutdown;
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout};

use crate::core::ledger::Ledger;
use crate::core::parked::Parked;
use crate::core::progress::{Identity, Progress, Records, changes};
use crate::source::Source;
use crate::source::database::{Database, DatabaseError};
use crate::source::look::{Look, look};
use crate::source::producer::{Producer, SendError};
use crate::source::wakeup::Wakeup;
use crate::status::Phase;

/// How often holders are read while rows keep coming.
const OBSERVE_EVERY: Duration = Duration::from_millis(10);

/// How often the progress is kept.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// The first pause while a writer is in flight; doubled up to [`LONGEST_DOZE`].
const SHORTEST_DOZE: Duration = Duration::from_millis(1);

/// The longest pause while a writer is in flight.
const LONGEST_DOZE: Duration = Duration::from_millis(100);

/// How often the lock's connection is tried while nothing is read.
const PING_EVERY: Duration = Duration::from_secs(1);

/// How long a clean stop waits for acknowledgements.
const FAREWELL: Duration = Duration::from_secs(6);

/// Why the leader has stopped leading.
#[derive(Debug, Error)]
pub(crate) enum LeadError {
    /// The connection that holds the lock is gone, or the table is not right.
    #[error("the outbox cannot be read")]
    Database(#[from] DatabaseError),
    /// The producer has stopped.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// A source's reading and sending, while the lock is held and the producer lives.
pub(crate) struct Leader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) identity: &'a Identity,
    pub(crate) database: &'a mut Database,
    pub(crate) wakeup: &'a mut Wakeup,
    pub(crate) producer: &'a Producer,
    pub(crate) ledger: &'a mut Ledger,
    /// The progress records that stand on Kafka, or are on their way.
    pub(crate) records: &'a mut Records,
    /// So many more rows are sent one at a time, because one of them was refused.
    pub(crate) caution: usize,
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) state: State,
}

/// What the leader remembers between two turns.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The head, the watermark and the number of gaps of the last progress record.
    saved: Option<(i64, i64, usize)>,
    saved_at: Option<Instant>,
    /// Progress records on their way.
    saving: usize,
    observed_at: Option<Instant>,
    asleep: bool,
    dozes: u32,
    /// The mean size of the last page's rows.
    row_bytes: usize,
}

impl Leader<'_> {
    /// Leads until asked to stop, and stops cleanly then.
    pub(crate) async fn lead(&mut self) -> Result<(), LeadError> {
        while !self.shutdown.is_requested() {
            self.take_reports()?;
            self.save_progress()?;
            if self.has_room() {
                let look = self.look().await?;
                self.rest(look).await?;
            } else {
                let quiet = timeout(PING_EVERY, self.producer.news()).await.is_err();
                if quiet {
                    self.database.last_value().await?;
                }
            }
        }
        self.farewell().await
    }

    /// Whether another page may be read: memory is bounded by what is not acknowledged.
    fn has_room(&self) -> bool {
        let limits = &self.source.limits;
        if self.caution > 0 {
            return self.ledger.records_in_flight() == 0;
        }
        self.ledger.records_in_flight() + limits.page_rows <= limits.rows_in_flight
            && self.ledger.bytes_in_flight() + limits.page_bytes <= limits.bytes_in_flight
    }

    /// Reads and sends what there is, at most a page, and looks after the gaps.
    async fn look(&mut self) -> Result<Look, LeadError> {
        self.source.status.looking();
        let rows = self.rows_to_ask_for();
        let look = look(self.database, self.ledger, self.producer, self.source, rows).await?;
        if let Some(mean) = look.bytes.checked_div(look.rows) {
            self.state.row_bytes = mean;
        }
        let gaps = self.ledger.reading().gaps().len();
        let due = self.state.observed_at.is_none_or(|at| at.elapsed() >= OBSERVE_EVERY);
        if gaps > 0 && (due || look.rows == 0) {
            let holders = self.database.holders().await?;
            let last_value = self.database.last_value().await?;
            self.ledger.observe(holders, last_value);
            self.state.observed_at = Some(Instant::now());
        }
        let behind = if look.more { self.database.last_value().await? } else { 0 };
        self.source.status.looked(self.ledger, behind, look.capped);
        Ok(look)
    }

    /// As many rows as will fill a page: what is asked for beyond that comes over the wire to be thrown away.
    fn rows_to_ask_for(&self) -> usize {
        let limits = &self.source.limits;
        if self.caution > 0 {
            return 1;
        }
        let fitting = limits.page_bytes.checked_div(self.state.row_bytes);
        fitting.unwrap_or(limits.page_rows).clamp(1, limits.page_rows)
    }

    /// Sleeps if there is nothing to do, in such a way that no commit goes unnoticed.
    async fn rest(&mut self, look: Look) -> Result<(), LeadError> {
        if look.rows > 0 || look.more {
            self.state.dozes = 0;
            if std::mem::take(&mut self.state.asleep) {
                self.database.wake().await?;
            }
        }
        if look.more || self.ledger.has_settled() {
            return Ok(());
        }
        if self.state.asleep {
            return self.wait(self.source.limits.fallback_poll).await;
        }
        if self.database.try_sleep().await? {
            // One more look, with a snapshot newer than the lock, and then to sleep.
            self.state.asleep = true;
            return Ok(());
        }
        let doze = SHORTEST_DOZE * 2_u32.pow(self.state.dozes.min(10));
        self.state.dozes += 1;
        self.wait(doze.min(LONGEST_DOZE)).await
    }

    /// Waits for a notification, for `duration` or for the end, and takes what Kafka acknowledges meanwhile.
    async fn wait(&mut self, duration: Duration) -> Result<(), LeadError> {
        let deadline = Instant::now() + duration;
        let mut ping_at = Instant::now() + PING_EVERY;
        loop {
            let due = self.progress_due().unwrap_or(deadline).min(deadline).min(ping_at);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                woken = self.wakeup.woken() => return Ok(woken?),
                () = self.producer.news() => self.take_reports()?,
                () = sleep_until(due) => {
                    self.save_progress()?;
                    let now = Instant::now();
                    if now >= deadline {
                        return Ok(());
                    }
                    if now >= ping_at {
                        self.database.last_value().await?;
                        self.source.status.alive();
                        ping_at = Instant::now() + PING_EVERY;
                    }
                }
            }
        }
    }

    /// Takes in what the producer's thread has reported.
    fn take_reports(&mut self) -> Result<(), LeadError> {
        let reports = self.producer.reports();
        for (page, records) in reports.pages {
            self.ledger.acknowledge(page, records);
            if self.caution > 0 {
                self.caution = self.caution.saturating_sub(records);
                if self.caution == 0 {
                    self.source.status.enter(Phase::Leading);
                }
            }
        }
        if reports.progress > 0 {
            self.state.saving = self.state.saving.saturating_sub(reports.progress);
            // The table was read and Kafka has answered: this is what leading means.
            if self.caution == 0 {
                self.source.status.enter(Phase::Leading);
            }
        }
        self.source.status.acknowledged(self.ledger, self.producer.last_error());
        reports.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// When the next progress record is to be sent, if there is anything new to tell.
    fn progress_due(&self) -> Option<Instant> {
        if self.state.saving > 0 || self.state.saved == Some(self.summary()) {
            return None;
        }
        Some(self.state.saved_at.map_or_else(Instant::now, |at| at + PROGRESS_EVERY))
    }

    fn summary(&self) -> (i64, i64, usize) {
        let position = self.ledger.acknowledged();
        (position.head(), position.watermark(), position.gaps().len())
    }

    /// Sends the progress record if it is due: some time after the acknowledgements it tells of.
    fn save_progress(&mut self) -> Result<(), LeadError> {
        if self.progress_due().is_none_or(|due| Instant::now() < due) {
            return Ok(());
        }
        let progress = Progress {
            identity: self.identity.clone(),
            position: self.ledger.acknowledged().clone(),
            parked: Parked::default(),
        };
        let records = progress.encode(&self.source.name);
        for (key, value) in changes(&self.source.name, self.records, &records) {
            self.producer.send_progress(&self.source.progress_topic, key, value)?;
            self.state.saving += 1;
        }
        *self.records = records;
        self.state.saved = Some(self.summary());
        self.state.saved_at = Some(Instant::now());
        Ok(())
    }

    /// Waits until all that was sent is acknowledged and the progress record says so.
    async fn farewell(&mut self) -> Result<(), LeadError> {
        let waited = timeout(FAREWELL, async {
            loop {
                self.take_reports()?;
                if self.ledger.records_in_flight() == 0 {
                    self.state.saved_at = None;
                    self.save_progress()?;
                    if self.state.saving == 0 && self.state.saved == Some(self.summary()) {
                        return Ok(());
                    }
                }
                self.producer.news().await;
            }
        });
        match waited.await {
            Ok(done) => done,
            Err(_) => {
                let records = self.ledger.records_in_flight();
                tracing::warn!(
                    records,
                    "stopped before kafka acknowledged everything; it will be sent again"
                );
                Ok(())
            }
        }
    }
}
