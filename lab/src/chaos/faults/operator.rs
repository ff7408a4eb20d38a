//! An event that Kafka refuses, and the operator who helps: its topic takes only small records for a while, the event is parked, the topic
//! is set right, and the operator has the event sent again.

use std::time::Duration;

use prost::Message as _;
use proto::{
    Event as _,
    store::users::events::v1::{UserCreated, UserEvent, user_event::Event},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    error::KafkaError,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::chaos::{ChaosError, World, world::persistently};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(300);
const SMALL: &str = "2000";
const USUAL: &str = "1048588";

/// Has an event refused, and commands until it is on Kafka: a command may come too early, or its answer may get lost.
pub(super) async fn help(world: &World) -> Result<(), ChaosError> {
    let event_id = Uuid::now_v7();
    let user_id = Uuid::now_v7();
    // Whatever the operator needs may be broken at the same time.
    persistently(async || limit(world, SMALL).await).await?;
    persistently(async || announce(world, event_id, user_id).await).await?;
    sleep(PAUSE * 3).await;
    persistently(async || limit(world, USUAL).await).await?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let command = persistently(async || command(world, event_id, user_id).await).await?;
        sleep(PAUSE).await;
        if persistently(async || succeeded(world, command).await).await? {
            break;
        }
    }
    Ok(())
}

async fn limit(world: &World, bytes: &str) -> Result<(), ChaosError> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", world.kafka().brokers()).create()?;
    let config = AlterConfig::new(ResourceSpecifier::Topic(UserEvent::TOPIC))
        .set("max.message.bytes", bytes);
    for altered in admin.alter_configs(&[config], &AdminOptions::new()).await? {
        altered.map_err(|(_, code)| KafkaError::AdminOp(code))?;
    }
    Ok(())
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

async fn succeeded(world: &World, command: Uuid) -> Result<bool, ChaosError> {
    let succeeded: Option<bool> =
        sqlx::query_scalar("SELECT succeeded FROM messaging.outbox_command WHERE id = $1")
            .bind(command)
            .fetch_one(&mut world.connect().await?)
            .await?;
    Ok(succeeded == Some(true))
}
