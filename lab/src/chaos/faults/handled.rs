//! What has been announced since a moment, and who has handled it when: whether a fault that is about events came before a handler.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    audit::Owner,
    chaos::{ChaosError, World},
};

/// An event and one of its readers.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) reader: Owner,
    pub(super) announced: Announced,
    /// When the reader has handled it, if it has.
    pub(super) handled_at: Option<OffsetDateTime>,
}

/// An event in an outbox.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Announced {
    pub(super) id: Uuid,
    #[sqlx(rename = "aggregatetype")]
    pub(super) topic: String,
    #[sqlx(rename = "aggregateid")]
    pub(super) key: String,
    pub(super) created_at: OffsetDateTime,
}

/// How far the outboxes were at a moment.
pub(super) struct Mark([i64; 2]);

impl Mark {
    /// That of now.
    pub(super) async fn now(world: &World) -> Result<Self, ChaosError> {
        let mut ends = [0; 2];
        for (end, owner) in ends.iter_mut().zip(Owner::ALL) {
            let sql = "SELECT coalesce(max(sequence), 0) FROM messaging.outbox";
            *end = sqlx::query_scalar(sql).fetch_one(&mut world.connect_to(owner).await?).await?;
        }
        Ok(Self(ends))
    }

    /// How many events had been announced, roughly: numbers of transactions that were rolled back are counted too.
    pub(super) fn announced(&self) -> usize {
        self.0.iter().map(|end| usize::try_from(*end).unwrap_or_default()).sum()
    }

    /// The events that were announced after it, once for each of their readers.
    pub(super) async fn readings(&self, world: &World) -> Result<Vec<Reading>, ChaosError> {
        let mut events = Vec::<Announced>::new();
        for (end, owner) in self.0.iter().zip(Owner::ALL) {
            let sql = "SELECT id, aggregatetype, aggregateid, created_at FROM messaging.outbox
                WHERE sequence > $1";
            let mut connection = world.connect_to(owner).await?;
            events.extend(sqlx::query_as(sql).bind(end).fetch_all(&mut connection).await?);
        }
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        let mut readings = Vec::new();
        for reader in Owner::ALL {
            let sql = "SELECT event_id, handled_at FROM messaging.inbox WHERE event_id = ANY($1)";
            let mut connection = world.connect_to(reader).await?;
            let handled: Vec<(Uuid, OffsetDateTime)> =
                sqlx::query_as(sql).bind(&ids).fetch_all(&mut connection).await?;
            let handled: HashMap<_, _> = handled.into_iter().collect();
            let read = events.iter().filter(|event| reader.reads().contains(&event.topic.as_str()));
            readings.extend(read.map(|announced| Reading {
                reader,
                announced: announced.clone(),
                handled_at: handled.get(&announced.id).copied(),
            }));
        }
        Ok(readings)
    }
}
