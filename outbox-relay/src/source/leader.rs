//! The loop of the relay that leads a source: look, send, take acknowledgements, keep the progress, sleep.

use std::time::Duration;

use runtime::{
    Shutdown,
    fail_points::{self, road},
};
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout};

use crate::core::caution::Caution;
use crate::core::ledger::Ledger;
use crate::core::progress::{Identity, Records, Term};
use crate::source::Source;
use crate::source::database::{Database, DatabaseError};
use crate::source::destinations::Destinations;
use crate::source::dispatch::Dispatch;
use crate::source::keeping::Keeping;
use crate::source::look::{Found, Look, Reach};
use crate::source::producer::{Delivery, Producer, SendError};
use crate::source::release::Releasing;
use crate::source::wakeup::Wakeup;
use crate::source::wal::{Follower, LeaveError};
use crate::status::Phase;

/// How often holders are read while rows keep coming.
const OBSERVE_EVERY: Duration = Duration::from_millis(10);

/// The first pause while a writer is in flight; doubled twice, and from [`PATIENT_DOZES`] on up to [`LONGEST_DOZE`].
const SHORTEST_DOZE: Duration = Duration::from_millis(1);

/// So many pauses, about 50 ms of them, are short: most writers end within that time.
const PATIENT_DOZES: u32 = 14;

/// The longest pause while a writer is in flight.
const LONGEST_DOZE: Duration = Duration::from_millis(100);

/// When so many numbers above the head are not visible, they are left open and not gone through again.
const FAR: i64 = 10_000;

/// How often the leader says that it is alive.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(1);

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
    /// One more key would have to wait.
    #[error(
        "{count} keys are parked already, and one more would have to be ({reason}): mend them with `outbox-relay parked`, or raise \
         --parked-keys"
    )]
    TooManyParked {
        /// How many wait.
        count: usize,
        /// Why one more would.
        reason: String,
    },
    /// A test wants it so.
    #[error(transparent)]
    Injected(#[from] fail_points::Injected),
}

/// A source's reading and sending, while the lock is held and the producer lives.
pub(crate) struct Leader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) identity: &'a Identity,
    pub(crate) database: &'a mut Database,
    pub(crate) wakeup: &'a mut Wakeup,
    pub(crate) follower: &'a mut Follower,
    pub(crate) producer: &'a Producer,
    pub(crate) ledger: &'a mut Ledger,
    /// Under whose name the progress is kept.
    pub(crate) term: Term,
    /// The progress records that stand on Kafka, or are on their way.
    pub(crate) records: &'a mut Records,
    pub(crate) destinations: &'a mut Destinations,
    pub(crate) caution: &'a mut Caution,
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) state: State,
}

/// What the leader remembers between two turns.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) keeping: Keeping,
    pub(crate) releasing: Option<Releasing>,
    observed_at: Option<Instant>,
    beat_at: Option<Instant>,
    asleep: bool,
    dozes: u32,
    /// How far the next look goes above the head.
    reach: Reach,
    /// The mean size of the last page's rows.
    row_bytes: usize,
}

/// What a turn found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Rows taken.
    rows: usize,
    /// Whether there is more to read at once.
    pub(crate) more: bool,
}

impl Leader<'_> {
    /// Leads until asked to stop, and stops cleanly then.
    pub(crate) async fn lead(&mut self) -> Result<(), LeadError> {
        while !self.shutdown.is_requested() {
            self.take_reports().await?;
            self.keep_progress().await?;
            self.beat_if_due().await?;
            if self.has_room() {
                let turn = self.turn().await?;
                self.commit_if_due(turn).await?;
                self.rest(turn).await?;
            } else {
                let _quiet = timeout(BEAT_EVERY, self.producer.news()).await;
            }
        }
        self.farewell().await
    }

    /// Whether another page may be read: memory is bounded by what is not acknowledged.
    fn has_room(&self) -> bool {
        let limits = &self.source.limits;
        if self.caution.rows().is_some() {
            return self.ledger.records_in_flight() == 0;
        }
        self.ledger.records_in_flight() + limits.page_rows <= limits.rows_in_flight
            && self.ledger.bytes_in_flight() + limits.page_bytes <= limits.bytes_in_flight
    }

    /// Does a part of what an operator wants, if anything, and otherwise looks.
    async fn turn(&mut self) -> Result<Turn, LeadError> {
        if self.state.releasing.is_some() {
            self.release().await?;
            if self.is_releasing() && self.caution.rows().is_some() {
                // One at a time, so that it is known which one is refused.
                return Ok(Turn { rows: 1, more: true });
            }
        }
        if self.follower.reads_table() { self.look().await } else { self.follow().await }
    }

    fn is_releasing(&self) -> bool {
        self.state.releasing.as_ref().is_some_and(Releasing::is_sending)
    }

    /// Reads and sends what there is, at most a page, and looks after the gaps.
    async fn look(&mut self) -> Result<Turn, LeadError> {
        self.source.status.looking();
        let (page, began) = (self.ledger.begin_page(), Instant::now());
        let mut found = Look {
            rows: self.rows_to_ask_for(),
            reach: self.state.reach,
            database: self.database,
            ledger: self.ledger,
            limits: &self.source.limits,
        }
        .take()
        .await?;
        let took = began.elapsed();
        self.send(page, &found).await?;
        if let Some(mean) = found.bytes.checked_div(found.rows.len()) {
            self.state.row_bytes = mean;
        }
        let last_value = self.leave_open(&mut found).await?;
        let at_its_end = found.end.is_some() && found.more;
        let reach = if at_its_end { self.state.reach.after(took) } else { Reach::default() };
        self.state.reach = reach;
        self.look_after_gaps(found.rows.is_empty()).await?;
        if !found.capped {
            self.follower.advance(self.database, self.ledger, !found.more).await?;
        }
        let behind = if found.more { last_value } else { 0 };
        self.source.status.looked(self.ledger, self.settled(), behind, found.capped);
        Ok(Turn { rows: found.rows.len(), more: found.more })
    }

    /// Leaves open what a look that has come to its end has gone through above the head without seeing it, if that is much: the rows of
    /// a large transaction that is open. The next looks for others' rows begin above it. Answers the sequence's last value.
    async fn leave_open(&mut self, found: &mut Found) -> Result<i64, LeadError> {
        let last_value = self.database.last_value().await?;
        let Some(end) = found.end else { return Ok(last_value) };
        found.more = last_value > end;
        if found.more || last_value - self.ledger.reading().head() > FAR {
            // Or the sequence could be found behind the head, after a crash of the server.
            self.database.until_durable(&self.source.instance).await?;
            self.ledger.begin_page();
            self.ledger.skip_to(last_value.min(end));
            self.ledger.end_page();
        }
        Ok(last_value)
    }

    /// Takes and sends what the stream has brought, at most a page, and compares it with the table.
    async fn follow(&mut self) -> Result<Turn, LeadError> {
        self.source.status.looking();
        self.follower.advance(self.database, self.ledger, false).await?;
        let page = self.ledger.begin_page();
        let (limits, rows) = (&self.source.limits, self.rows_to_ask_for());
        let found = self.follower.collect(self.ledger, limits, rows).await;
        self.send(page, &found).await?;
        self.follower.audit(self.database, self.ledger).await?;
        if self.ledger.reading().gaps().len() >= limits.gap_runs {
            self.follower.leave(LeaveError::Gaps);
        }
        let behind = self.follower.highest();
        self.source.status.looked(self.ledger, self.settled(), behind, false);
        Ok(Turn { rows: found.rows.len(), more: found.more })
    }

    /// Hands a page over, once it cannot be lost any more, and closes it.
    async fn send(&mut self, page: usize, found: &Found) -> Result<(), LeadError> {
        if !found.rows.is_empty() {
            fail_points::pass(road::RELAY_READ).await?;
            // What the stream brings is durable.
            if self.follower.reads_table() {
                self.database.until_durable(&self.source.instance).await?;
            }
            self.begin_transaction()?;
            let sent = self.dispatch(page).send_all(&found.rows).await?;
            self.state.keeping.sent(sent);
            if !found.more {
                self.producer.hurry();
            }
            fail_points::pass(road::RELAY_PRODUCED).await?;
        }
        self.ledger.end_page();
        Ok(())
    }

    /// What hands rows of `page` over.
    pub(crate) fn dispatch(&mut self, page: usize) -> Dispatch<'_> {
        Dispatch {
            source: self.source,
            ledger: self.ledger,
            producer: self.producer,
            destinations: self.destinations,
            caution: self.caution,
            page,
        }
    }

    /// Observes who may still fill the gaps, now and then while rows keep coming, else each time.
    async fn look_after_gaps(&mut self, idle: bool) -> Result<(), LeadError> {
        let due = self.state.observed_at.is_none_or(|at| at.elapsed() >= OBSERVE_EVERY);
        if !self.ledger.reading().gaps().is_empty() && (due || idle) {
            let holders = self.database.holders().await?;
            let last_value = self.database.last_value().await?;
            self.ledger.observe(holders, last_value);
            self.state.observed_at = Some(Instant::now());
        }
        Ok(())
    }

    /// As many rows as will fill a page: what is asked for beyond that comes over the wire to be thrown away.
    pub(crate) fn rows_to_ask_for(&self) -> usize {
        let limits = &self.source.limits;
        let fitting = limits.page_bytes.checked_div(self.state.row_bytes);
        let rows = fitting.unwrap_or(limits.page_rows).clamp(1, limits.page_rows);
        self.caution.rows().map_or(rows, |careful| careful.min(rows))
    }

    /// Sleeps if there is nothing to do, in such a way that no commit goes unnoticed.
    async fn rest(&mut self, turn: Turn) -> Result<(), LeadError> {
        if turn.rows > 0 || turn.more {
            self.state.dozes = 0;
            if std::mem::take(&mut self.state.asleep) {
                self.database.wake().await?;
            }
        }
        if turn.more || self.is_releasing() {
            return Ok(());
        }
        if !self.follower.reads_table() {
            // No writer has to wake it.
            if std::mem::take(&mut self.state.asleep) {
                self.database.wake().await?;
            }
            let until_audit = self.follower.audit_due(self.ledger) - Instant::now();
            return self.wait(until_audit).await;
        }
        if self.ledger.has_settled() {
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
        let pause = doze(self.state.dozes);
        self.state.dozes += 1;
        self.wait(pause).await
    }

    /// Waits for a notification, for `duration` or for the end, and takes what Kafka acknowledges meanwhile.
    async fn wait(&mut self, duration: Duration) -> Result<(), LeadError> {
        let deadline = Instant::now() + duration;
        loop {
            let due = self.progress_due().unwrap_or(deadline).min(deadline);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                woken = self.wakeup.woken() => return Ok(woken?),
                () = self.follower.ready() => return Ok(()),
                () = self.producer.news() => self.take_reports().await?,
                () = sleep_until(due) => {
                    self.keep_progress().await?;
                    self.beat_if_due().await?;
                    if Instant::now() >= deadline {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Says that the leader is alive, once a second, and takes up what an operator wants.
    pub(crate) async fn beat_if_due(&mut self) -> Result<(), LeadError> {
        if self.state.beat_at.is_some_and(|at| at.elapsed() < BEAT_EVERY) {
            return Ok(());
        }
        let command_waits = self.database.beat(&self.source.instance).await?;
        self.state.beat_at = Some(Instant::now());
        self.source.status.alive();
        if self.state.releasing.is_none() {
            if command_waits {
                self.take_command().await?;
            } else {
                self.take_up_found_topic().await;
            }
        }
        Ok(())
    }

    /// Takes in what the producer's thread has reported.
    pub(crate) async fn take_reports(&mut self) -> Result<(), LeadError> {
        let reports = self.producer.reports();
        for (page, records) in &reports.pages {
            self.ledger.acknowledge(*page, *records);
            if self.source.delivery == Delivery::AtLeastOnce {
                self.caution.passed(*records);
            }
        }
        self.state.keeping.acknowledged(reports.progress);
        if let Some(lsn) = self.state.keeping.passed_and_kept() {
            self.follower.confirm(lsn);
        }
        self.tell_partitions();
        let error = self.producer.last_error();
        self.source.status.acknowledged(self.ledger, self.settled(), error);
        if let Some(failure) = reports.failure {
            return Err(failure.into());
        }
        if reports.progress > 0 && self.source.delivery == Delivery::AtLeastOnce {
            // The table was read and Kafka has answered: this is what leading means.
            self.source.status.enter(Phase::Leading);
        }
        if !reports.pages.is_empty() {
            fail_points::pass(road::RELAY_ACKNOWLEDGED).await?;
        }
        Ok(())
    }

    /// Waits until all that was sent is acknowledged and the progress says so.
    async fn farewell(&mut self) -> Result<(), LeadError> {
        match timeout(FAREWELL, self.settle()).await {
            Ok(settled) => settled,
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

/// The pause after so many others, while a writer is in flight.
fn doze(dozes: u32) -> Duration {
    let doublings = dozes.min(2) + dozes.saturating_sub(PATIENT_DOZES - 1).min(8);
    (SHORTEST_DOZE * 2_u32.pow(doublings)).min(LONGEST_DOZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_waited_for_closely_at_first_and_then_less_and_less() {
        let dozes: Vec<u128> = (0..25).map(|dozes| doze(dozes).as_millis()).collect();
        assert_eq!(dozes[..4], [1, 2, 4, 4]);
        let short: Vec<u128> = dozes.iter().copied().take_while(|doze| *doze <= 4).collect();
        assert_eq!(short.iter().sum::<u128>(), 51);
        assert_eq!(dozes[short.len()..short.len() + 6], [8, 16, 32, 64, 100, 100]);
        assert_eq!(doze(u32::MAX).as_millis(), 100);
    }
}
