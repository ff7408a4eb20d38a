//! Keeping the progress: at least once some time after the acknowledgements that it tells of, exactly once within the transaction
//! of the records.

use std::time::Duration;

use pgwire_replication::Lsn;
use runtime::fail_points::{self, road};
use tokio::time::{Instant, sleep};

use crate::core::ledger::Reached;
use crate::core::progress::{Progress, changes};
use crate::core::published::Published;
use crate::source::leader::{BEAT_EVERY, LeadError, Leader, Turn};
use crate::source::producer::{Delivery, SendError};
use crate::status::{Phase, Settled};

/// How often the progress is kept.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How often it is kept how far the WAL was passed, while nothing comes by it.
const PASSED_EVERY: Duration = Duration::from_secs(10);

/// So many records are put into one transaction while there is more to send: a commit costs as much as thousands of them.
const TRANSACTION_ROWS: usize = 50_000;

/// A transaction is committed at the latest after so long.
const TRANSACTION_TIME: Duration = Duration::from_secs(2);

/// How long the acknowledgements of a committed transaction may take to be told.
const REPORTS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the report of a record that spoiled a transaction is waited for.
const CAUSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is known of the progress that was kept last.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    /// What the last record that was sent told.
    saved: Option<Summary>,
    /// How far the WAL was passed, as it told.
    saved_passed: Option<Lsn>,
    saved_at: Option<Instant>,
    /// Progress records on their way.
    saving: usize,
    /// What they say of the table, until it is passed on.
    published: Option<Published>,
    transaction: Option<Transaction>,
}

/// What changes whenever the progress does: the head, the watermark, the number of gaps, the parked keys and their first numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    head: i64,
    watermark: i64,
    gaps: usize,
    parked: usize,
    parked_numbers: i64,
}

/// A Kafka transaction that is open.
#[derive(Debug)]
struct Transaction {
    records: usize,
    began_at: Instant,
}

impl Keeping {
    /// So many progress records are acknowledged.
    pub(crate) fn acknowledged(&mut self, records: usize) {
        self.saving = self.saving.saturating_sub(records);
    }

    /// The point of the WAL before which everything is on Kafka, as the progress on Kafka says.
    pub(crate) fn passed_and_kept(&self) -> Option<Lsn> {
        self.saved_passed.filter(|_| self.saving == 0 && self.transaction.is_none())
    }

    /// So many records were handed over.
    pub(crate) fn sent(&mut self, records: usize) {
        if let Some(transaction) = &mut self.transaction {
            transaction.records += records;
        }
    }

    /// Records in the open transaction.
    pub(crate) fn records_in_transaction(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.records)
    }
}

impl Summary {
    fn of(reached: &Reached) -> Self {
        let numbers = reached.parked.iter().map(|(_, _, parked)| parked.first);
        Self {
            head: reached.position.highest(),
            watermark: reached.position.watermark(),
            gaps: reached.position.gaps().len(),
            parked: reached.parked.len(),
            parked_numbers: numbers.fold(0, i64::wrapping_add),
        }
    }
}

impl Leader<'_> {
    /// When the progress is to be kept, if there is anything new to tell.
    pub(crate) fn progress_due(&self) -> Option<Instant> {
        let keeping = &self.state.keeping;
        if keeping.saving > 0 {
            return None;
        }
        let reached = self.to_tell();
        let every = if keeping.saved != Some(Summary::of(reached)) {
            PROGRESS_EVERY
        } else if keeping.saved_passed != reached.position.passed() {
            PASSED_EVERY
        } else {
            return None;
        };
        Some(keeping.saved_at.map_or_else(Instant::now, |at| at + every))
    }

    /// How far everything is on Kafka for good.
    pub(crate) fn settled(&self) -> Settled {
        match (&self.state.keeping.transaction, self.state.keeping.saved) {
            (Some(transaction), saved) => Settled {
                watermark: saved.map_or(0, |saved| saved.watermark),
                in_flight: transaction.records.max(self.ledger.records_in_flight()),
            },
            (None, _) => Settled {
                watermark: self.ledger.acknowledged().position.watermark(),
                in_flight: self.ledger.records_in_flight(),
            },
        }
    }

    /// What the progress may tell now. Within a transaction everything read is in it, or before it.
    fn to_tell(&self) -> &Reached {
        match self.source.delivery {
            Delivery::AtLeastOnce => self.ledger.acknowledged(),
            Delivery::ExactlyOnce => self.ledger.read(),
        }
    }

    /// Keeps the progress if it is due.
    pub(crate) async fn keep_progress(&mut self) -> Result<(), LeadError> {
        if self.progress_due().is_none_or(|due| Instant::now() < due) {
            return self.answer_if_kept().await;
        }
        match self.source.delivery {
            Delivery::AtLeastOnce => self.send_progress().await,
            Delivery::ExactlyOnce => {
                self.begin_transaction()?;
                self.commit().await
            }
        }
    }

    /// Sends what has changed of the progress.
    async fn send_progress(&mut self) -> Result<(), LeadError> {
        let reached = self.to_tell().clone();
        let (summary, passed) = (Summary::of(&reached), reached.position.passed());
        let progress = Progress { identity: self.identity.clone(), reached };
        self.state.keeping.published = Some(Published::of(&progress));
        let records = progress.encode(&self.source.name, self.term);
        for (key, value) in changes(&self.source.name, self.records, &records) {
            self.producer.send_progress(&self.source.progress_topic, key, value)?;
            self.state.keeping.saving += 1;
        }
        *self.records = records;
        self.state.keeping.saved = Some(summary);
        self.state.keeping.saved_passed = passed;
        self.state.keeping.saved_at = Some(Instant::now());
        Ok(fail_points::pass(road::RELAY_PROGRESS).await?)
    }

    /// Passes on what the progress on Kafka says of the table, once it is there for good.
    pub(crate) fn tell_partitions(&mut self) {
        let keeping = &mut self.state.keeping;
        if keeping.saving == 0 && keeping.transaction.is_none() && keeping.published.is_some() {
            self.source.published.send_replace(keeping.published.take());
        }
    }

    /// Opens a transaction if records go into transactions and none is open.
    pub(crate) fn begin_transaction(&mut self) -> Result<(), LeadError> {
        let is_open = self.state.keeping.transaction.is_some();
        if self.source.delivery == Delivery::ExactlyOnce && !is_open {
            self.producer.begin()?;
            self.state.keeping.transaction =
                Some(Transaction { records: 0, began_at: Instant::now() });
        }
        Ok(())
    }

    /// Commits when there is nothing more to put into the transaction, or enough in it.
    pub(crate) async fn commit_if_due(&mut self, turn: Turn) -> Result<(), LeadError> {
        let careful = self.caution.rows().is_some();
        let due = self.state.keeping.transaction.as_ref().is_some_and(|transaction| {
            !turn.more
                || careful
                || transaction.records >= TRANSACTION_ROWS
                || transaction.began_at.elapsed() >= TRANSACTION_TIME
        });
        if due { self.commit().await } else { Ok(()) }
    }

    /// Commits records and progress together. The leader goes on beating.
    async fn commit(&mut self) -> Result<(), LeadError> {
        self.send_progress().await?;
        fail_points::pass(road::RELAY_COMMITTING).await?;
        self.source.status.committing();
        let producer = self.producer;
        let committing = producer.commit();
        tokio::pin!(committing);
        loop {
            tokio::select! {
                committed = &mut committing => match committed {
                    Ok(()) => break,
                    Err(failure) => return Err(self.cause_of(failure).await),
                },
                () = sleep(BEAT_EVERY) => {
                    self.database.beat(&self.source.instance).await?;
                }
            }
        }
        self.source.status.committed();
        fail_points::pass(road::RELAY_COMMITTED).await?;
        let sent = self.state.keeping.transaction.take().map_or(0, |open| open.records);
        self.until_all_is_acknowledged().await?;
        self.caution.passed(sent);
        self.source.status.enter(Phase::Leading);
        self.answer_if_kept().await
    }

    /// What a record was refused for tells more than that its transaction cannot be committed.
    async fn cause_of(&mut self, failure: SendError) -> LeadError {
        let _reported = tokio::time::timeout(CAUSE_TIMEOUT, self.producer.news()).await;
        self.take_reports().await.err().unwrap_or(LeadError::Send(failure))
    }

    /// A committed transaction has arrived as a whole: the last reports of it are only a moment away.
    async fn until_all_is_acknowledged(&mut self) -> Result<(), LeadError> {
        let waited = tokio::time::timeout(REPORTS_TIMEOUT, async {
            loop {
                self.take_reports().await?;
                if self.ledger.records_in_flight() == 0 && self.state.keeping.saving == 0 {
                    return Ok(());
                }
                self.producer.news().await;
            }
        });
        waited.await.unwrap_or_else(|_| {
            let reason = "a committed transaction was not acknowledged".to_owned();
            Err(LeadError::Send(SendError::Unknown { reason }))
        })
    }

    /// Waits until everything that was sent is acknowledged and the progress tells of it.
    pub(crate) async fn settle(&mut self) -> Result<(), LeadError> {
        loop {
            self.take_reports().await?;
            self.beat_if_due().await?;
            if self.state.keeping.transaction.is_some() {
                self.commit().await?;
            }
            if self.ledger.records_in_flight() == 0 {
                self.state.keeping.saved_at = None;
                self.keep_progress().await?;
                if self.is_kept() {
                    return Ok(());
                }
            }
            let _quiet = tokio::time::timeout(BEAT_EVERY, self.producer.news()).await;
        }
    }

    /// Whether the progress on Kafka tells everything that was acknowledged by `instant`.
    pub(crate) fn is_kept_since(&self, instant: Instant) -> bool {
        let keeping = &self.state.keeping;
        let kept_later = keeping.saved_at.is_some_and(|at| at > instant);
        self.is_kept() || (keeping.saving == 0 && keeping.transaction.is_none() && kept_later)
    }

    /// Whether the progress on Kafka tells everything there is to tell.
    fn is_kept(&self) -> bool {
        let keeping = &self.state.keeping;
        keeping.saving == 0
            && keeping.transaction.is_none()
            && keeping.saved == Some(Summary::of(self.to_tell()))
    }
}
