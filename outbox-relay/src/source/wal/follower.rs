//! The leader's side of the WAL feed: when to leave the table for the stream, and when to go back.
//!
//! **To the stream.** A slot tells of what began to commit after its start. If the progress says that everything before that point
//! has been taken, the stream goes on where it was left. Otherwise the table is polled on until it is drained, in this order: the
//! slot is there; every transaction that holds the table's lock then has ended (one of them may have begun to commit before the
//! slot's start and not be visible yet); a snapshot taken after that has been read to its end.
//!
//! **Back to the table** at any moment, after any change: each number is taken once, whoever brings it. A stream that only broke off
//! is given a few seconds to come back, because the table does not tell the order of commits.

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use pgwire_replication::{Lsn, ReplicationConfig};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::core::ledger::Ledger;
use crate::source::database::{Database, DatabaseError};
use crate::source::look::Found;
use crate::source::wal::audit::{Audit, Outcome};
use crate::source::wal::keeper::{Ended, Keeper, State, Verdict};
use crate::source::wal::slot::Slot;
use crate::source::wal::stream::{Change, Stream, StreamError};
use crate::source::wal::{Feed, address};
use crate::source::{Limits, chain};
use crate::status::Status;

/// How often the stream is compared with the table while gaps are open.
const AUDIT_GAPS_EVERY: Duration = Duration::from_millis(100);

/// How often otherwise.
const AUDIT_EVERY: Duration = Duration::from_secs(1);

/// How long the table is left alone when the stream was followed before: what is read from it does not come in the order of commits.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the stream is left.
#[derive(Debug, Error)]
pub(crate) enum LeaveError {
    /// It has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The table has what the stream should have brought.
    #[error(
        "the stream has not brought number {0}, which the table has: is the publication as the relay made it?"
    )]
    Lacks(i64),
    /// It is somewhere in WAL that has nothing for the outbox.
    #[error("the stream has said nothing for 5 s while rows wait")]
    Silent,
    /// Only the table can be read without going ahead.
    #[error("too many numbers are open")]
    Gaps,
    /// The sender starts over.
    #[error("the sender starts over")]
    Sender,
}

impl LeaveError {
    /// What it says of the slot.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Gaps | Self::Sender => Verdict::Good,
            Self::Stream(StreamError::Broken(_) | StreamError::Timeout) => Verdict::Doubtful,
            Self::Stream(StreamError::Refused(_) | StreamError::Decode(_))
            | Self::Lacks(_)
            | Self::Silent => Verdict::Bad,
        }
    }
}

/// What is read.
enum Mode {
    /// Nothing until then: the stream was followed before, and is about to be again.
    Pausing(Instant),
    /// The table; the slot is not there, or not usable.
    Table,
    /// The table, until these transactions have ended.
    Waiting(Slot, HashSet<String>),
    /// The table, until it is drained.
    Draining(Slot),
    /// The stream.
    Stream(Box<Stream>),
}

/// Which feed a leading relay reads.
pub(crate) struct Follower {
    feed: Feed,
    address: ReplicationConfig,
    status: Arc<Status>,
    state: watch::Receiver<State>,
    ended: mpsc::Sender<Ended>,
    /// The slot that may be followed.
    slot: Option<Slot>,
    /// Whether the keeper is at work, and has not said what came of it.
    expecting: bool,
    mode: Mode,
    /// Why it is not the stream that is read.
    reason: String,
    audit: Option<Audit>,
    audited_at: Instant,
}

/// The two ends of a source's WAL feed.
pub(crate) fn pair(
    feed: Feed,
    url: &str,
    status: &Arc<Status>,
) -> Result<(Follower, Keeper), DatabaseError> {
    let (state_sender, state) = watch::channel(State::Absent(String::new()));
    let (ended_sender, ended) = mpsc::channel(4);
    let follower = Follower {
        feed,
        address: address::address(url)?,
        status: Arc::clone(status),
        state,
        ended: ended_sender,
        slot: None,
        expecting: matches!(feed, Feed::Wal { .. }),
        mode: Mode::Table,
        reason: "the slot is being made".to_owned(),
        audit: None,
        audited_at: Instant::now(),
    };
    follower.tell();
    Ok((follower, Keeper { feed, state: state_sender, ended }))
}

impl Follower {
    /// Begins anew, with a ledger that has gone back to what is acknowledged.
    pub(crate) fn begin(&mut self, ledger: &Ledger) {
        if self.expecting && ledger.reading().passed().is_some() {
            self.enter(Mode::Pausing(Instant::now() + PATIENCE));
        }
    }

    /// Whether it is the table that is read.
    pub(crate) fn reads_table(&self) -> bool {
        match self.mode {
            Mode::Table | Mode::Waiting(..) | Mode::Draining(_) => true,
            Mode::Stream(_) | Mode::Pausing(_) => false,
        }
    }

    /// Takes a step towards the stream, after a look at the table that has `drained` it or not.
    pub(crate) async fn advance(
        &mut self,
        database: &mut Database,
        ledger: &mut Ledger,
        drained: bool,
    ) -> Result<(), DatabaseError> {
        self.hear();
        match &mut self.mode {
            Mode::Table | Mode::Pausing(_) => {
                let passed = ledger.reading().passed();
                match self.slot.take() {
                    Some(slot) if passed >= Some(slot.confirmed) => self.open(slot).await,
                    Some(slot) => self.enter(Mode::Waiting(slot, holders(database).await?)),
                    None => self.lose_patience(),
                }
            }
            Mode::Waiting(slot, before) => {
                let now = holders(database).await?;
                before.retain(|holder| now.contains(holder));
                if before.is_empty() {
                    let slot = slot.clone();
                    self.enter(Mode::Draining(slot));
                }
            }
            Mode::Draining(slot) if drained => {
                let slot = slot.clone();
                ledger.begin_page();
                ledger.passed(slot.confirmed);
                ledger.end_page();
                self.open(slot).await;
            }
            Mode::Draining(_) | Mode::Stream(_) => {}
        }
        Ok(())
    }

    /// Takes what the stream has brought by now into the ledger's open page, at most about `rows` rows or the page's bytes.
    pub(crate) async fn collect(
        &mut self,
        ledger: &mut Ledger,
        limits: &Limits,
        rows: usize,
    ) -> Found {
        let mut found = Found::default();
        while !found.more {
            match self.take().await {
                Some(Change::Row(row)) => found.take(*row, ledger),
                Some(Change::Passed(lsn)) => ledger.passed(lsn),
                None => break,
            }
            found.more = found.rows.len() >= rows || found.bytes >= limits.page_bytes;
        }
        found
    }

    async fn take(&mut self) -> Option<Change> {
        let Mode::Stream(stream) = &mut self.mode else { return None };
        match stream.take().await {
            Ok(change) => change,
            Err(error) => {
                self.leave(error.into());
                None
            }
        }
    }

    /// Waits until there is something to do about the stream; for ever where the table is read.
    pub(crate) async fn ready(&mut self) {
        match &mut self.mode {
            Mode::Stream(stream) => {
                if let Err(error) = stream.ready().await {
                    self.leave(error.into());
                }
            }
            Mode::Pausing(until) => {
                if let Ok(Ok(())) = timeout_at(*until, self.state.changed()).await {
                    self.state.mark_changed();
                }
            }
            Mode::Table | Mode::Waiting(..) | Mode::Draining(_) => pending().await,
        }
    }

    /// Everything that began to commit before `lsn` is on Kafka, and the progress on Kafka says so.
    pub(crate) fn confirm(&self, lsn: Lsn) {
        if let Mode::Stream(stream) = &self.mode {
            stream.confirm(lsn);
        }
    }

    /// Leaves the stream, or the way to it.
    pub(crate) fn leave(&mut self, error: LeaveError) {
        if matches!(self.mode, Mode::Table | Mode::Pausing(_)) {
            return;
        }
        let (reason, verdict) = (chain(&error), error.verdict());
        self.reason.clone_from(&reason);
        self.audit = None;
        // If there is no room the keeper has been told already.
        let _told = self.ended.try_send(Ended { reason, verdict });
        self.expecting = true;
        self.enter(match verdict {
            Verdict::Doubtful => Mode::Pausing(Instant::now() + PATIENCE),
            Verdict::Good | Verdict::Bad => Mode::Table,
        });
    }

    fn lose_patience(&mut self) {
        if let Mode::Pausing(until) = self.mode
            && Instant::now() >= until
        {
            self.enter(Mode::Table);
        }
    }

    /// When the table is to be looked at, or compared with the stream, again.
    pub(crate) fn audit_due(&self, ledger: &Ledger) -> Instant {
        let open = !ledger.reading().gaps().is_empty();
        self.audited_at + if open { AUDIT_GAPS_EVERY } else { AUDIT_EVERY }
    }

    /// The highest number that the table has shown and the stream may not have brought yet, 0 if none is known.
    pub(crate) fn highest(&self) -> i64 {
        self.audit.as_ref().map_or(0, Audit::highest)
    }

    /// Compares the stream with the table, and gives up the gaps that neither will fill.
    pub(crate) async fn audit(
        &mut self,
        database: &mut Database,
        ledger: &mut Ledger,
    ) -> Result<(), DatabaseError> {
        let is_due = Instant::now() >= self.audit_due(ledger);
        let Mode::Stream(stream) = &self.mode else { return Ok(()) };
        if let Some(audit) = &mut self.audit {
            if audit.is_looking() {
                if is_due {
                    audit.look(database).await?;
                    self.audited_at = Instant::now();
                }
                return Ok(());
            }
            match audit.compare(stream, database, ledger).await? {
                Outcome::Pending => {
                    if is_due {
                        self.audited_at = Instant::now();
                    }
                    return Ok(());
                }
                Outcome::More => return Ok(()),
                Outcome::Same => self.audit = None,
                Outcome::Lacks(number) => {
                    self.leave(LeaveError::Lacks(number));
                    return Ok(());
                }
                Outcome::Silent => {
                    self.leave(LeaveError::Silent);
                    return Ok(());
                }
            }
        }
        if is_due {
            self.audit = Some(Audit::begin(database, ledger).await?);
            self.audited_at = Instant::now();
        }
        Ok(())
    }

    /// Takes in what the keeper says.
    fn hear(&mut self) {
        if !self.state.has_changed().unwrap_or(false) {
            return;
        }
        let state = self.state.borrow_and_update().clone();
        self.expecting = false;
        match state {
            State::Present(slot) => self.slot = Some(slot),
            State::Absent(reason) => {
                self.slot = None;
                self.audit = None;
                self.reason = reason;
                self.enter(Mode::Table);
            }
        }
    }

    async fn open(&mut self, slot: Slot) {
        let opened = Stream::open(&self.address, &slot).await;
        match opened {
            Ok(stream) => {
                tracing::info!(slot.name, from = %slot.confirmed, "the wal is followed");
                self.audited_at = Instant::now();
                self.enter(Mode::Stream(Box::new(stream)));
            }
            Err(error) => {
                self.mode = Mode::Draining(slot);
                self.leave(error.into());
            }
        }
    }

    fn enter(&mut self, mode: Mode) {
        if matches!(self.mode, Mode::Stream(_)) {
            tracing::warn!(reason = self.reason, "the wal is not followed any more");
        }
        self.mode = mode;
        self.tell();
    }

    fn tell(&self) {
        let reason = match (&self.feed, &self.mode) {
            (Feed::Table, _) => return,
            (Feed::Wal { .. }, Mode::Stream(_)) => return self.status.feed("wal"),
            (Feed::Wal { .. }, Mode::Waiting(..)) => {
                "until the transactions that were open when the slot was made have ended"
            }
            (Feed::Wal { .. }, Mode::Draining(_)) => "until it is drained",
            (Feed::Wal { .. }, Mode::Table) => self.reason.as_str(),
            (Feed::Wal { .. }, Mode::Pausing(_)) => {
                return self.status.feed("wal (about to begin)");
            }
        };
        self.status.feed(&format!("table ({reason})"));
    }
}

async fn holders(database: &mut Database) -> Result<HashSet<String>, DatabaseError> {
    Ok(database.holders().await?.into_iter().map(|holder| holder.id).collect())
}
