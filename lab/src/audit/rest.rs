//! Whether a system has come to rest, and if not, what still moves.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{AuditError, Owner, Position, Record, Snapshot, Sources, verdict::count};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A system that has been waited for.
#[derive(Clone, Debug)]
pub struct Rest {
    /// What was there at the last look.
    pub snapshot: Snapshot,
    /// What still moved then; nothing if it had come to rest.
    pub still_moves: Vec<Motion>,
}

/// Something that has not come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Committed events are not on Kafka.
    Unpublished {
        /// Of whose outbox.
        owner: Owner,
        /// How many.
        rows: usize,
    },
    /// A consumer has records before it.
    Unread {
        /// Which.
        reader: Owner,
        /// Of which topic.
        topic: String,
        /// How many.
        records: usize,
    },
    /// Orders have not ended.
    Orders {
        /// How many.
        under_way: usize,
        /// One of them.
        first: Uuid,
    },
    /// Payments owe the provider a call.
    Payments {
        /// How many.
        unsettled: usize,
        /// One of them.
        first: Uuid,
    },
}

/// Waits until nothing moves any more, or `patience` is over: every event is on Kafka, no consumer has anything before it,
/// every order has ended, and the provider agrees with every payment. That something still moves is no error: the
/// invariants judge it.
///
/// # Errors
/// If the system cannot be read when `patience` is over; until then a server may be coming back.
pub async fn at_rest(sources: &Sources, patience: Duration) -> Result<Rest, AuditError> {
    let deadline = Instant::now() + patience;
    loop {
        let read = Snapshot::read(sources).await;
        let is_last = Instant::now() >= deadline;
        match read {
            Ok(snapshot) => {
                let still_moves = motions(&snapshot);
                if still_moves.is_empty() || is_last {
                    return Ok(Rest { snapshot, still_moves });
                }
            }
            Err(error) if is_last => return Err(error),
            Err(_) => {}
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What has not come to rest.
#[must_use]
pub fn motions(snapshot: &Snapshot) -> Vec<Motion> {
    let mut motions = unpublished(snapshot);
    motions.extend(unread(snapshot));
    let mut under_way = snapshot.orders.iter().filter(|order| !order.state.is_end());
    if let Some(first) = under_way.next() {
        motions.push(Motion::Orders { under_way: 1 + under_way.count(), first: first.order_id });
    }
    let mut unsettled = snapshot.payments.iter().filter(|payment| !payment.settled);
    if let Some(first) = unsettled.next() {
        motions
            .push(Motion::Payments { unsettled: 1 + unsettled.count(), first: first.payment_id });
    }
    motions
}

fn unpublished(snapshot: &Snapshot) -> Vec<Motion> {
    let seen: HashSet<_> = snapshot.records.iter().filter_map(Record::event_id).collect();
    let of = |owner| {
        let rows = snapshot.outbox.iter().filter(|row| row.owner == owner);
        let rows = rows.filter(|row| !seen.contains(&row.event_id)).count();
        (rows > 0).then_some(Motion::Unpublished { owner, rows })
    };
    Owner::ALL.into_iter().filter_map(of).collect()
}

fn unread(snapshot: &Snapshot) -> Vec<Motion> {
    let position = |position: &Position| {
        let Position { reader, topic, partition, offset } = position.clone();
        ((reader, topic, partition), offset)
    };
    let positions: HashMap<_, _> = snapshot.positions.iter().map(position).collect();
    let of = |reader: Owner, topic: &str| {
        let is_before = |record: &&Record| {
            let place = (reader, record.topic.clone(), record.partition);
            record.topic == topic && record.offset >= *positions.get(&place).unwrap_or(&0)
        };
        let records = snapshot.records.iter().filter(is_before).count();
        (records > 0).then(|| Motion::Unread { reader, topic: topic.to_owned(), records })
    };
    let read = |reader: Owner| reader.reads().iter().map(move |topic| (reader, *topic));
    Owner::ALL.into_iter().flat_map(read).filter_map(|(reader, topic)| of(reader, topic)).collect()
}

impl fmt::Display for Motion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpublished { owner, rows } => {
                write!(formatter, "not on Kafka: {} of {}", count(*rows, "events"), owner.name())
            }
            Self::Unread { reader, topic, records } => {
                let records = count(*records, "records");
                write!(formatter, "not read by {}: {records} of {topic}", reader.name())
            }
            Self::Orders { under_way, first } => {
                write!(formatter, "not ended: {}, such as {first}", count(*under_way, "orders"))
            }
            Self::Payments { unsettled, first } => {
                let payments = count(*unsettled, "payments");
                write!(formatter, "not settled with the provider: {payments}, such as {first}")
            }
        }
    }
}
