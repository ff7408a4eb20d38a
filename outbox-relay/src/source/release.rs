//! What operators want done with parked keys: send what waits, with or without its first event, or with another payload.
//!
//! What waits is read from the table window by window, between two looks. After each window the key waits only from the next number
//! on: what a writer commits late within the windows behind is sent by the looks, and in order, since whoever writes a key
//! holds its lock, and what follows in the table was not there yet.

use futures::TryStreamExt;
use runtime::fail_points::{self, road};
use tokio::time::Instant;
use uuid::Uuid;

use crate::core::parked::ParkedKey;
use crate::source::database::DatabaseError;
use crate::source::leader::{LeadError, Leader};
use crate::source::look::limit;
use crate::source::record;
use crate::source::row::OutboxRow;

/// How many numbers of the table are looked through at once.
const WINDOW: i64 = 100_000;

/// A key that is about to flow again.
#[derive(Debug)]
pub(crate) struct Releasing {
    topic: String,
    key: String,
    /// The event that was refused, and what is to become of it.
    event_id: Uuid,
    first_event: FirstEvent,
    /// The operator's command that is to be answered, if it was one.
    command_id: Option<Uuid>,
    /// Events sent so far.
    sent: usize,
    /// What is to be answered, once nothing is left to send.
    answer: Option<Answer>,
}

/// What is to become of the event that was refused.
#[derive(Debug)]
enum FirstEvent {
    /// It is sent again.
    Sent,
    /// It is never sent.
    Skipped,
    /// It is sent with this payload.
    Replaced(Vec<u8>),
}

/// An answer that waits until what it tells is on Kafka.
#[derive(Debug)]
struct Answer {
    text: String,
    succeeded: bool,
    /// The last page of what was sent.
    page: usize,
    /// When that page was found to be acknowledged: the progress kept after this tells of it.
    done_at: Option<Instant>,
}

impl Releasing {
    /// Whether there is more to send.
    pub(crate) fn is_sending(&self) -> bool {
        self.answer.is_none()
    }
}

impl Leader<'_> {
    /// Takes up the oldest command, or answers it at once if it does not fit what is parked.
    pub(crate) async fn take_command(&mut self) -> Result<(), LeadError> {
        let Some(command) = self.database.next_command().await? else { return Ok(()) };
        let parked = self.ledger.parked().get(&command.topic, &command.key);
        let refusal = match parked {
            None => Some(format!("key {} of topic {} is not parked", command.key, command.topic)),
            Some(parked) if parked.event_id != command.event_id => {
                Some(format!("the key waits for event {} now, not for this one", parked.event_id))
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            return Ok(self.database.answer(command.id, &refusal, false).await?);
        }
        tracing::info!(
            source = self.source.name,
            topic = command.topic,
            event.id = %command.event_id,
            command = command.command,
            "an operator's command is taken up"
        );
        self.destinations.forget(&command.topic);
        self.state.releasing = Some(Releasing {
            first_event: match (command.command.as_str(), command.payload) {
                ("skip", _) => FirstEvent::Skipped,
                (_, Some(payload)) => FirstEvent::Replaced(payload),
                (_, None) => FirstEvent::Sent,
            },
            topic: command.topic,
            key: command.key,
            event_id: command.event_id,
            command_id: Some(command.id),
            sent: 0,
            answer: None,
        });
        Ok(())
    }

    /// Takes up a key that waits for nothing but its topic, if the topic is there now.
    pub(crate) async fn take_up_found_topic(&mut self) {
        let waiting = self.ledger.parked().iter().filter(|(.., parked)| parked.topic_is_missing);
        let mut topic_before = None;
        for (topic, key, parked) in waiting {
            if topic_before.replace(topic) == Some(topic) {
                continue;
            }
            if self.destinations.refusal(topic, 0).await.is_none() {
                tracing::info!(source = self.source.name, topic, "the missing topic is there");
                self.state.releasing = Some(Releasing {
                    topic: topic.to_owned(),
                    key: key.to_owned(),
                    event_id: parked.event_id,
                    first_event: FirstEvent::Sent,
                    command_id: None,
                    sent: 0,
                    answer: None,
                });
                return;
            }
        }
    }

    /// Sends the next window of what waits.
    pub(crate) async fn release(&mut self) -> Result<(), LeadError> {
        let Some(mut releasing) = self.state.releasing.take() else { return Ok(()) };
        if releasing.is_sending() {
            self.send_window(&mut releasing).await?;
        }
        self.state.releasing = Some(releasing);
        self.answer_if_kept().await
    }

    async fn send_window(&mut self, releasing: &mut Releasing) -> Result<(), LeadError> {
        let (topic, key) = (releasing.topic.as_str(), releasing.key.as_str());
        let parked = self.ledger.parked().get(topic, key).cloned();
        let parked = parked.expect("a key is released by its command only");
        let head = self.ledger.reading().head();
        let wanted = self.rows_to_ask_for();
        let window_end = head.min(parked.first.saturating_add(WINDOW));
        let rows: Vec<OutboxRow> = self
            .database
            .held(topic, key, parked.first, window_end, limit(wanted))
            .try_collect()
            .await
            .map_err(|error: DatabaseError| LeadError::Database(error))?;
        self.database.until_durable(&self.source.instance).await?;
        let last = rows.last().map_or(window_end, |row| row.sequence);
        let read_to = if rows.len() < wanted { window_end } else { last };

        let page = self.ledger.begin_page();
        self.begin_transaction()?;
        self.ledger.release(topic, key);
        let mut refused = None;
        for row in rows {
            let (row, replaced) = prepared(row, releasing);
            let Some(row) = row else { continue };
            self.ledger.take_held(row.sequence, record::bytes(&row), record::created_at_ms(&row));
            if !self.dispatch(page).send(&row, replaced).await? {
                refused = Some(row.id);
                break;
            }
            releasing.sent += 1;
            self.state.keeping.sent(1);
        }
        if refused.is_none() && read_to < head {
            self.ledger.park(topic, key, ParkedKey { first: read_to + 1, ..parked });
        }
        self.ledger.end_page();
        releasing.answer = match refused {
            Some(event_id) => Some((self.refused(releasing, event_id), false)),
            None if read_to >= head => {
                Some((format!("{} events of the key are sent", releasing.sent), true))
            }
            None => None,
        }
        .map(|(text, succeeded)| Answer { text, succeeded, page, done_at: None });
        Ok(())
    }

    fn refused(&self, releasing: &Releasing, event_id: Uuid) -> String {
        let Releasing { topic, key, .. } = releasing;
        let reason = self.ledger.parked().get(topic, key).map_or("", |parked| &parked.reason);
        format!("after {} events of the key, event {event_id} is refused: {reason}", releasing.sent)
    }

    /// Answers the command if what was done for it is on Kafka.
    pub(crate) async fn answer_if_kept(&mut self) -> Result<(), LeadError> {
        let Some(releasing) = &mut self.state.releasing else { return Ok(()) };
        let Some(answer) = &mut releasing.answer else { return Ok(()) };
        if !self.ledger.is_done(answer.page) {
            return Ok(());
        }
        let done_at = *answer.done_at.get_or_insert_with(Instant::now);
        if !self.is_kept_since(done_at) {
            return Ok(());
        }
        if let Some(Releasing {
            command_id, answer: Some(Answer { text, succeeded, .. }), ..
        }) = self.state.releasing.take()
        {
            fail_points::pass(road::RELAY_ANSWERING).await?;
            tracing::info!(
                source = self.source.name,
                answer = text,
                "a parked key is taken care of"
            );
            if let Some(command_id) = command_id {
                self.database.answer(command_id, &text, succeeded).await?;
            }
        }
        Ok(())
    }
}

/// The row as it is to be sent, if at all, and what was put in the place of its payload.
fn prepared(mut row: OutboxRow, releasing: &Releasing) -> (Option<OutboxRow>, Option<String>) {
    if row.id != releasing.event_id {
        return (Some(row), None);
    }
    match &releasing.first_event {
        FirstEvent::Sent => (Some(row), None),
        FirstEvent::Skipped => {
            tracing::warn!(event.id = %row.id, "an operator skips an event: it is never sent");
            (None, None)
        }
        FirstEvent::Replaced(payload) => {
            let note = format!("a payload of {} bytes", row.payload.len());
            row.payload.clone_from(payload);
            (Some(row), Some(note))
        }
    }
}
