//! An event that Kafka refuses, and the operator who helps: its topic takes only small records for a while, the event is parked, the topic
//! is set right, and the operator has the event sent again.

use std::{collections::BTreeMap, time::Duration};

use prost::Message as _;
use proto::{
    Event as _,
    store::users::events::v1::{UserCreated, UserEvent, user_event::Event},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, ResourceSpecifier},
    client::DefaultClientContext,
    error::KafkaError,
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::records;
use crate::{
    chaos::{ChaosError, World, world::persistently},
    tap::{From, Tap},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long the relay may take to find that an event is refused.
const PARKING: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);
const SMALL: &str = "2000";

/// An event that Kafka has refused, and that waits for an operator.
pub(super) struct Refused {
    event_id: Uuid,
    user_id: Uuid,
    /// Listens to its topic.
    tap: Tap,
    /// The last command to send it again.
    command: Option<Uuid>,
    is_published: bool,
}

impl Refused {
    /// Has an event refused, and its topic set right again.
    pub(super) async fn new(world: &World) -> Result<Self, ChaosError> {
        let (event_id, user_id) = (Uuid::now_v7(), Uuid::now_v7());
        // Whatever this needs may be broken at the same time.
        let tap = records::open(world, &[UserEvent::TOPIC], From::Now).await?;
        let settings = persistently(async || settings(world).await).await?;
        let mut small = settings.clone();
        small.insert("max.message.bytes".to_owned(), SMALL.to_owned());
        persistently(async || set(world, &small).await).await?;
        persistently(async || announce(world, event_id, user_id).await).await?;
        until_parked(world).await;
        persistently(async || set(world, &settings).await).await?;
        Ok(Self { event_id, user_id, tap, command: None, is_published: false })
    }

    /// Commands until the event is on Kafka, again where a command came too early. It may be dropped at any time and called again.
    ///
    /// # Errors
    /// [`ChaosError::Unhelped`] if it is not in time.
    pub(super) async fn help(&mut self, world: &World) -> Result<(), ChaosError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_published {
            if Instant::now() >= deadline {
                return Err(ChaosError::Unhelped(self.event_id, PATIENCE));
            }
            let waits = match self.command {
                Some(command) => persistently(async || is_waiting(world, command).await).await?,
                None => false,
            };
            if !waits {
                let (event_id, user_id) = (self.event_id, self.user_id);
                self.command =
                    Some(persistently(async || command(world, event_id, user_id).await).await?);
            }
            // A connection that was lost is made again.
            if let Ok(Ok(event)) = timeout(PAUSE, self.tap.next()).await {
                self.is_published = event.header("ce_id") == self.event_id.to_string();
            }
        }
        Ok(())
    }
}

/// Waits until the relay says that a key is parked; not for long, since it may be away. Without, the event is published by itself.
async fn until_parked(world: &World) {
    let deadline = Instant::now() + PARKING;
    let mut is_parked = false;
    while !is_parked && Instant::now() < deadline {
        sleep(PAUSE).await;
        let metrics = world.system.relay.admin("/metrics").await;
        is_parked = metrics.is_ok_and(|(_, metrics)| parks(&metrics));
    }
}

/// Whether a relay's metrics say that a key of a source is parked.
fn parks(metrics: &str) -> bool {
    let mut lines = metrics.lines().filter(|line| line.starts_with("store_outbox_parked_keys{"));
    lines.any(|line| !line.ends_with(" 0"))
}

/// The settings that the topic has of its own.
async fn settings(world: &World) -> Result<BTreeMap<String, String>, ChaosError> {
    let topic = ResourceSpecifier::Topic(UserEvent::TOPIC);
    let mut settings = BTreeMap::new();
    for described in admin(world)?.describe_configs(&[topic], &AdminOptions::new()).await? {
        let entries = described.map_err(KafkaError::AdminOp)?.entries;
        let own = entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        settings.extend(own.filter_map(|entry| Some((entry.name, entry.value?))));
    }
    Ok(settings)
}

/// Gives the topic these settings and no others.
async fn set(world: &World, settings: &BTreeMap<String, String>) -> Result<(), ChaosError> {
    let topic = AlterConfig::new(ResourceSpecifier::Topic(UserEvent::TOPIC));
    let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
    for altered in admin(world)?.alter_configs(&[topic], &AdminOptions::new()).await? {
        altered.map_err(|(_, code)| KafkaError::AdminOp(code))?;
    }
    Ok(())
}

fn admin(world: &World) -> Result<AdminClient<DefaultClientContext>, ChaosError> {
    let mut config = ClientConfig::new();
    Ok(config.set("bootstrap.servers", world.kafka().brokers()).create()?)
}

/// A user of a very long name is announced, if that has not been done.
async fn announce(world: &World, event_id: Uuid, user_id: Uuid) -> Result<(), ChaosError> {
    let created = UserCreated {
        user_id: user_id.to_string(),
        // Random, so that it stays large however it is compressed.
        name: (0..500).map(|_| rand::random::<u128>().to_string()).collect(),
        ..UserCreated::default()
    };
    let payload = UserEvent { event: Some(Event::UserCreated(created)) }.encode_to_vec();
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        SELECT $1, $2, $3, 'store.users.events.v1.UserCreated', '/lab', $3, $4
        WHERE NOT EXISTS (SELECT FROM messaging.outbox WHERE id = $1)",
    )
    .bind(event_id)
    .bind(UserEvent::TOPIC)
    .bind(user_id.to_string())
    .bind(payload)
    .execute(&mut world.connect().await?)
    .await?;
    Ok(())
}

async fn command(world: &World, event_id: Uuid, user_id: Uuid) -> Result<Uuid, ChaosError> {
    let command = sqlx::query_scalar(
        "INSERT INTO messaging.outbox_command (command, aggregatetype, aggregateid, event_id)
        VALUES ('retry', $1, $2, $3) RETURNING id",
    )
    .bind(UserEvent::TOPIC)
    .bind(user_id.to_string())
    .bind(event_id)
    .fetch_one(&mut world.connect().await?)
    .await?;
    Ok(command)
}

/// Whether the relay has not answered the command yet.
async fn is_waiting(world: &World, command: Uuid) -> Result<bool, ChaosError> {
    let sql = "SELECT answered_at IS NULL FROM messaging.outbox_command WHERE id = $1";
    Ok(sqlx::query_scalar(sql).bind(command).fetch_one(&mut world.connect().await?).await?)
}

#[cfg(test)]
mod tests {
    use super::parks;

    #[test]
    fn a_key_of_one_source_is_parked() {
        let metrics = |first, second| {
            format!(
                "# TYPE store_outbox_parked_keys gauge\nstore_outbox_parked_keys{{source=\"a\"}} {first}\nstore_outbox_parked_keys{{source=\"b\"}} {second}\n"
            )
        };
        assert!(parks(&metrics(0, 1)) && parks(&metrics(10, 0)));
        assert!(!parks(&metrics(0, 0)) && !parks("store_other{source=\"a\"} 1"));
    }
}
