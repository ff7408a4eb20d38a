//! Creates the progress topic: compacted, one partition, small segments so that reading it at a start stays short.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use thiserror::Error;
use tokio::time::{sleep, timeout};

use crate::broker;
use crate::config::TopicsOptions;

/// The progress topic's name unless another is given.
pub(crate) const PROGRESS_TOPIC: &str = "outbox-relay.progress";

/// How long a broker may take to hear of a topic that the controller has created.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// How often it is asked.
const SHOWN_EVERY: Duration = Duration::from_millis(50);

/// Why the topic is not there.
#[derive(Debug, Error)]
pub enum TopicsError {
    /// There is no way to Kafka.
    #[error("{0}")]
    Unreachable(String),
    /// Kafka does not answer.
    #[error("kafka cannot be asked to create topic {topic}")]
    Kafka {
        /// The topic.
        topic: String,
        /// What the client says.
        #[source]
        source: KafkaError,
    },
    /// Kafka refuses.
    #[error("kafka refuses to create topic {topic}: {code}")]
    Refused {
        /// The topic.
        topic: String,
        /// Its reason.
        code: RDKafkaErrorCode,
    },
    /// It was created, and the brokers that were asked have not heard of it.
    #[error(
        "topic {topic} is created, but kafka does not show it after {} s: ask its metadata quorum (kafka-metadata-quorum.sh), and run \
         this again", SHOWN_TIMEOUT.as_secs()
    )]
    NotShown {
        /// The topic.
        topic: String,
    },
}

/// Creates the topic unless it exists, and waits until a broker knows it: the controller, which creates it, tells the others later.
pub async fn create(options: &TopicsOptions) -> Result<(), TopicsError> {
    let topic = options.progress_topic.as_str();
    is_shown(options).await?;
    let kafka = |source| TopicsError::Kafka { topic: topic.to_owned(), source };
    let client: AdminClient<DefaultClientContext> =
        options.kafka.client().create().map_err(kafka)?;
    let replication = TopicReplication::Fixed(options.replication.unwrap_or(-1));
    let new = NewTopic::new(topic, 1, replication)
        .set("cleanup.policy", "compact")
        .set("segment.ms", "600000")
        .set("segment.bytes", "8388608")
        .set("min.cleanable.dirty.ratio", "0.1")
        .set("min.compaction.lag.ms", "0");
    let admin = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    for created in client.create_topics(&[new], &admin).await.map_err(kafka)? {
        match created {
            Ok(_) => tracing::info!(topic, "the progress topic is created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {
                tracing::info!(topic, "the progress topic exists");
            }
            Err((_, code)) => return Err(TopicsError::Refused { topic: topic.to_owned(), code }),
        }
    }
    let shown = async {
        while !is_shown(options).await? {
            sleep(SHOWN_EVERY).await;
        }
        Ok(())
    };
    let not_shown = |_| Err(TopicsError::NotShown { topic: topic.to_owned() });
    timeout(SHOWN_TIMEOUT, shown).await.unwrap_or_else(not_shown)
}

/// Whether the broker that is asked knows the topic, and who leads its partition.
async fn is_shown(options: &TopicsOptions) -> Result<bool, TopicsError> {
    let metadata = broker::ask(&options.kafka, Some(&options.progress_topic)).await;
    let metadata = metadata.map_err(|fault| TopicsError::Unreachable(fault.to_string()))?;
    let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
    Ok(partitions.any(|partition| partition.error().is_none() && partition.leader() >= 0))
}
