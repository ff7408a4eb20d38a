//! All that is known of one order: its states, its events with where they stand, its payment, and what callers were told.

use std::{fmt, time::SystemTime};

use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

use super::World;
use crate::{
    audit::{Record, Snapshot},
    history::{Answer, Command, History, Reply},
};

/// The story of an order, in the order of its times.
#[derive(Clone, Debug)]
pub struct Timeline {
    order_id: Uuid,
    moments: Vec<(OffsetDateTime, String)>,
    /// What has no time of its own.
    facts: Vec<String>,
}

impl Timeline {
    /// That of `order_id`.
    pub(super) async fn of(
        order_id: Uuid,
        world: &World,
        snapshot: &Snapshot,
        history: &History,
    ) -> Self {
        let mut facts = facts(order_id, snapshot);
        let mut moments = states(order_id, world).await.unwrap_or_else(|error| {
            facts.push(format!("its states could not be read: {error}"));
            Vec::new()
        });
        moments.extend(events(order_id, snapshot));
        moments.extend(told(order_id, snapshot, history));
        moments.sort();
        Self { order_id, moments, facts }
    }
}

async fn states(order_id: Uuid, world: &World) -> sqlx::Result<Vec<(OffsetDateTime, String)>> {
    let states: Vec<(OffsetDateTime, String, Option<String>)> = sqlx::query_as(
        "SELECT reached_at, state, reason FROM store_manager.order_states
        WHERE order_id = $1 ORDER BY state_id",
    )
    .bind(order_id)
    .fetch_all(&mut world.connect().await?)
    .await?;
    let moment = |(reached_at, state, reason): (_, _, Option<String>)| {
        (reached_at, format!("state   {state} {}", reason.unwrap_or_default()))
    };
    Ok(states.into_iter().map(moment).collect())
}

/// The rows of the outboxes, each with the records that tell of it.
fn events(order_id: Uuid, snapshot: &Snapshot) -> Vec<(OffsetDateTime, String)> {
    let rows = snapshot.outbox.iter().filter(|row| row.order_id() == Some(order_id));
    rows.map(|row| {
        let tells = |record: &&Record| record.event_id() == Some(row.event_id);
        let places: Vec<_> = snapshot.records.iter().filter(tells).map(place).collect();
        let places = if places.is_empty() { "nowhere".to_owned() } else { places.join(", ") };
        let (name, owner, sequence) = (row.event_name(), row.owner.name(), row.sequence);
        (row.created_at, format!("event   {name} (row {sequence} of {owner}) on {places}"))
    })
    .collect()
}

fn place(record: &Record) -> String {
    let marked = if record.is_marked() { " (on purpose)" } else { "" };
    format!("{}/{}/{}{marked}", record.topic, record.partition, record.offset)
}

/// The calls that are about the order: which one made it, its answer tells.
fn told(order_id: Uuid, snapshot: &Snapshot, history: &History) -> Vec<(OffsetDateTime, String)> {
    let is_it = |reply: &Reply| match reply {
        Reply::Order { order_id: told, .. } | Reply::Payment { order_id: told, .. } => {
            *told == order_id
        }
        Reply::Stock { .. } => false,
    };
    let payment = snapshot.payments.iter().find(|payment| payment.order_id == order_id);
    let about = |command: &Command| match command {
        Command::CancelOrder { order_id: asked } => *asked == order_id,
        Command::ProcessPayment { payment_id } => {
            payment.is_some_and(|payment| payment.payment_id == *payment_id)
        }
        Command::CreateOrder { request_id, .. } => {
            snapshot.answers.get(request_id).is_some_and(is_it)
        }
        Command::SetStock { .. } | Command::AdjustStock { .. } => false,
    };
    let calls = history.invocations.iter().filter(|call| about(&call.command));
    calls
        .map(|call| {
            let answer = match &call.answer {
                Answer::Ok(Reply::Order { state, is_paid, .. }) => {
                    format!("{state}{}", if *is_paid { ", paid" } else { "" })
                }
                Answer::Ok(Reply::Payment { state, .. }) => state.clone(),
                Answer::Ok(Reply::Stock { .. }) => "stock".to_owned(),
                Answer::Refused { code, reason } => format!("refused: {code} {reason}"),
                Answer::Unknown => "nobody knows".to_owned(),
            };
            let ended = call.ended.unwrap_or(call.began);
            (
                at(ended),
                format!(
                    "caller  {} began {}: {answer}",
                    name(&call.command),
                    clock(at(call.began))
                ),
            )
        })
        .collect()
}

/// What a call is called.
pub(super) fn name(command: &Command) -> &'static str {
    match command {
        Command::CreateOrder { .. } => "CreateOrder",
        Command::CancelOrder { .. } => "CancelOrder",
        Command::ProcessPayment { .. } => "ProcessPayment",
        Command::SetStock { .. } => "SetStock",
        Command::AdjustStock { .. } => "AdjustStock",
    }
}

fn facts(order_id: Uuid, snapshot: &Snapshot) -> Vec<String> {
    let mut facts = Vec::new();
    let orders = snapshot.orders.iter().filter(|order| order.order_id == order_id);
    facts.extend(orders.map(|order| format!("{order:?}")));
    let payments = snapshot.payments.iter().filter(|payment| payment.order_id == order_id);
    facts.extend(payments.map(|payment| format!("{payment:?}")));
    let ledger = snapshot.ledger.iter().filter(|entry| entry.order_id == order_id);
    facts.extend(ledger.map(|entry| format!("{entry:?}")));
    let lines = snapshot.lines.iter().filter(|line| line.order_id == order_id);
    facts.extend(lines.map(|line| format!("{line:?}")));
    facts
}

fn at(time: SystemTime) -> OffsetDateTime {
    time.into()
}

/// The time of day.
pub(super) fn clock(time: OffsetDateTime) -> String {
    let (hour, minute, second, milli) = time.time().as_hms_milli();
    format!("{hour:02}:{minute:02}:{second:02}.{milli:03}")
}

impl fmt::Display for Timeline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "order {}", self.order_id)?;
        for (time, what) in &self.moments {
            writeln!(formatter, "  {} {what}", clock(*time))?;
        }
        for fact in &self.facts {
            writeln!(formatter, "  {fact}")?;
        }
        Ok(())
    }
}
