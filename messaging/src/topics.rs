//! The store's topics, declared once, and the step that creates them: nothing relies on automatic creation.

use std::{borrow::Cow, time::Duration};

use proto::{Event, store};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tracing::info;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(30);

/// How long event topics keep their records: shorter than the inbox remembers them.
pub const EVENT_RETENTION: Duration = DAY.saturating_mul(7);
/// How long dead letters wait for somebody.
pub const DEAD_LETTER_RETENTION: Duration = DAY.saturating_mul(30);
/// Partitions of a topic, fixed when it is created since the key decides.
pub const PARTITIONS: i32 = 12;

/// A topic as it is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Cow<'static, str>,
    /// How many partitions.
    pub partitions: i32,
    /// How long records are kept; `None` is for ever.
    pub retention: Option<Duration>,
    /// Whether only the last record of a key is kept.
    pub compacted: bool,
}

impl Topic {
    const fn of_events(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            partitions: PARTITIONS,
            retention: Some(EVENT_RETENTION),
            compacted: false,
        }
    }
}

/// The events of orders, written by store-manager.
pub const ORDERS: Topic = Topic::of_events(<store::orders::events::v1::OrderEvent as Event>::TOPIC);
/// The events of stock, written by store-manager.
pub const STOCK: Topic = Topic::of_events(<store::stock::events::v1::StockEvent as Event>::TOPIC);
/// The events of payments, written by payments.
pub const PAYMENTS: Topic =
    Topic::of_events(<store::payments::events::v1::PaymentEvent as Event>::TOPIC);
/// The events of products, written by store-manager.
pub const PRODUCTS: Topic =
    Topic::of_events(<store::products::events::v1::ProductEvent as Event>::TOPIC);
/// The events of users, written by store-manager.
pub const USERS: Topic = Topic::of_events(<store::users::events::v1::UserEvent as Event>::TOPIC);
/// All topics of events.
pub const ALL: [Topic; 5] = [ORDERS, STOCK, PAYMENTS, PRODUCTS, USERS];

/// The name of the topic that takes what `group` cannot handle of `topic`.
#[must_use]
pub fn dead_letter_topic(group: &str, topic: &str) -> String {
    format!("{group}.{topic}.dlq")
}

/// The dead-letter topics of a group that reads `topics`.
#[must_use]
pub fn dead_letters(group: &str, topics: &[&str]) -> Vec<Topic> {
    let topic = |topic: &&str| Topic {
        name: Cow::Owned(dead_letter_topic(group, topic)),
        partitions: 1,
        retention: Some(DEAD_LETTER_RETENTION),
        compacted: false,
    };
    topics.iter().map(topic).collect()
}

/// Why topics were not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateTopicsError {
    /// Kafka was not reached, or did not answer in time.
    #[error("kafka did not answer")]
    Kafka(#[from] KafkaError),
    /// Kafka refused one of them.
    #[error("kafka refused to create topic {topic}")]
    Refused {
        /// Which topic.
        topic: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
}

/// Creates the `topics` that do not exist yet, with the broker's own replication factor; those that do are left alone.
///
/// # Errors
/// If Kafka is not reached within half a minute, or refuses.
pub async fn create(brokers: &str, topics: &[Topic]) -> Result<(), CreateTopicsError> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let retentions: Vec<String> = topics.iter().map(retention_ms).collect();
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .zip(&retentions)
        .map(|(topic, retention)| new_topic(topic, retention))
        .collect();
    let options =
        AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    for result in admin.create_topics(&new, &options).await? {
        match result {
            Ok(topic) => info!(topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let source = KafkaError::AdminOp(code);
                return Err(CreateTopicsError::Refused { topic, source });
            }
        }
    }
    Ok(())
}

fn retention_ms(topic: &Topic) -> String {
    topic
        .retention
        .map_or_else(|| String::from("-1"), |retention| retention.as_millis().to_string())
}

fn new_topic<'a>(topic: &'a Topic, retention_ms: &'a str) -> NewTopic<'a> {
    let policy = if topic.compacted { "compact" } else { "delete" };
    NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1))
        .set("cleanup.policy", policy)
        .set("retention.ms", retention_ms)
}
