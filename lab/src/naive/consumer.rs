//! A consumer of the tiny store: one record, one transaction, then the offset. It takes part in no group, so that whoever follows
//! a killed one need not wait for it: there is one process.

use prost::Message as _;
use proto::store::{
    orders::events::v1::{OrderEvent, order_event::Event as Order},
    payments::events::v1::{PaymentEvent, payment_event::Event as Payment},
    stock::events::v1::{StockEvent, stock_event::Event as Stock},
};
use rdkafka::{
    ClientConfig, Message,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Headers},
};
use sqlx::PgConnection;
use tokio::task::block_in_place;
use uuid::Uuid;

use super::{
    Flaw, NaiveError, Place,
    announcement::Announcement,
    flaw::Role,
    orders, payments, quiet,
    store::{Store, topics_of},
};

/// A record that has been read.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) event_id: Uuid,
    pub(super) event: Event,
}

/// The events of the three topics.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Order(Order),
    Stock(Stock),
    Payment(Payment),
}

/// Handles what comes for `role`, for ever.
pub(super) async fn run(store: &Store, role: Role) -> Result<(), NaiveError> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &store.brokers)
        .set("group.id", role.group())
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "20")
        .create()?;
    let partitions = block_in_place(|| quiet::partitions(&consumer, topics_of(role)))?;
    consumer.assign(&partitions)?;
    loop {
        let message = consumer.recv().await?;
        let record = Record::try_from(&message)?;
        let commit_offset =
            || block_in_place(|| consumer.commit_message(&message, CommitMode::Sync));
        if store.flaw == Flaw::OffsetFirst {
            commit_offset()?;
            if let Some(([offset, _], order_id)) = record.places(role)? {
                store.places.pass(offset, order_id).await?;
            }
        }
        handle(store, role, &record).await?;
        if store.flaw != Flaw::OffsetFirst {
            commit_offset()?;
        }
    }
}

/// One record's transaction, and what follows its commit.
async fn handle(store: &Store, role: Role, record: &Record) -> Result<(), NaiveError> {
    let charge = match role {
        Role::Orders => None,
        Role::Payments => payments::charge(store, record).await?,
    };
    let mut transaction = store.pool(role).begin().await?;
    if store.flaw.remembers(role) && !remember(&mut transaction, record.event_id).await? {
        return Ok(());
    }
    let announcements = match role {
        Role::Orders => orders::handle(&mut transaction, store.flaw, record).await?,
        Role::Payments => payments::handle(&mut transaction, record, charge).await?,
    };
    for announcement in &announcements {
        announcement.append(&mut transaction).await?;
    }
    transaction.commit().await?;
    if let Some(([_, committed], order_id)) = record.places(role)? {
        store.places.pass(committed, order_id).await?;
    }
    store.announce(&announcements).await
}

/// Whether the event is new to the inbox.
async fn remember(connection: &mut PgConnection, event_id: Uuid) -> sqlx::Result<bool> {
    let insert = "INSERT INTO messaging.inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING";
    let done = sqlx::query(insert).bind(event_id).execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

impl Record {
    /// Where a store may die with this record: after the early offset, and after the commit; and with which order.
    fn places(&self, role: Role) -> Result<Option<([Place; 2], Uuid)>, NaiveError> {
        Ok(match (role, &self.event) {
            (Role::Orders, Event::Order(Order::OrderCreated(event))) => {
                Some(([Place::StockOffset, Place::StockCommitted], event.order_id.parse()?))
            }
            (Role::Payments, Event::Stock(Stock::StockDecreased(event))) => {
                Some(([Place::PaymentOffset, Place::PaymentCommitted], event.order_id.parse()?))
            }
            (
                Role::Orders | Role::Payments,
                Event::Order(_) | Event::Stock(_) | Event::Payment(_),
            ) => None,
        })
    }
}

impl TryFrom<&BorrowedMessage<'_>> for Record {
    type Error = NaiveError;

    fn try_from(message: &BorrowedMessage<'_>) -> Result<Self, NaiveError> {
        let mut headers = message.headers().into_iter().flat_map(Headers::iter);
        let id = headers.find(|header| header.key == "ce_id").and_then(|header| header.value);
        let event_id = Uuid::try_parse_ascii(id.unwrap_or_default())?;
        let payload = message.payload().unwrap_or_default();
        let event = match message.topic() {
            <OrderEvent as proto::Event>::TOPIC => {
                OrderEvent::decode(payload)?.event.map(Event::Order)
            }
            <StockEvent as proto::Event>::TOPIC => {
                StockEvent::decode(payload)?.event.map(Event::Stock)
            }
            _ => PaymentEvent::decode(payload)?.event.map(Event::Payment),
        };
        Ok(Self { event_id, event: event.ok_or(NaiveError::Event("a kind that is known"))? })
    }
}

/// What a handler announces.
pub(super) type Announcements = Vec<Announcement>;
