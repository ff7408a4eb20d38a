//! What is known of the topics that events are for: whether they can be written, and how large a record may be.
//!
//! A record that Kafka would refuse for good is found here before it is sent, so that it spoils no batch.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::KafkaOptions;
use crate::source::client::ClientLog;

/// For so long what was heard of a topic is believed.
const FRESH: Duration = Duration::from_secs(60);

/// For so long a topic that was refused is not asked for again.
const REFUSED: Duration = Duration::from_secs(5);

/// How long Kafka may take to describe a topic.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a batch costs beyond its records.
const BATCH_BYTES: usize = 61;

/// The largest batch worth while.
const LARGEST_BATCH: usize = 262_144;

/// The smallest batch the client library takes.
const SMALLEST_BATCH: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It exists. Its largest batch in bytes, if Kafka tells.
    Writable(Option<usize>),
    /// It cannot be written.
    Refused(String),
}

/// The topics met so far.
pub(crate) struct Destinations {
    admin: AdminClient<ClientLog>,
    known: HashMap<String, (Known, Instant)>,
    /// When Kafka last failed to describe a topic: it is left alone for a while.
    silent_at: Option<Instant>,
}

impl Destinations {
    /// Nothing is known yet.
    pub(crate) fn new(kafka: &KafkaOptions) -> Result<Self, KafkaError> {
        let admin = kafka.client().create_with_context(ClientLog)?;
        Ok(Self { admin, known: HashMap::new(), silent_at: None })
    }

    /// Why a record of so many bytes for `topic` would be refused, as far as is known.
    pub(crate) async fn refusal(&mut self, topic: &str, bytes: usize) -> Option<String> {
        if !self.is_fresh(topic, bytes) {
            let known = self.describe(topic).await;
            self.known.insert(topic.to_owned(), (known, Instant::now()));
        }
        match &self.known.get(topic)?.0 {
            Known::Refused(reason) => Some(reason.clone()),
            Known::Writable(Some(limit)) if bytes + BATCH_BYTES > *limit => Some(format!(
                "the record takes {bytes} bytes, and topic {topic} has max.message.bytes={limit}"
            )),
            Known::Writable(_) => None,
        }
    }

    /// Kafka has refused a record because of its topic.
    pub(crate) fn refused(&mut self, topic: &str, reason: &str) {
        self.known.insert(topic.to_owned(), (Known::Refused(reason.to_owned()), Instant::now()));
    }

    /// Forgets what is known of `topic`: somebody says that it is mended.
    pub(crate) fn forget(&mut self, topic: &str) {
        self.known.remove(topic);
    }

    /// The largest batch that every topic met so far takes, in bytes.
    pub(crate) fn batch_bytes(&self) -> usize {
        let limits = self.known.values().filter_map(|(known, _)| match known {
            Known::Writable(limit) => *limit,
            Known::Refused(_) => None,
        });
        limits.min().map_or(LARGEST_BATCH, |limit| limit.clamp(SMALLEST_BATCH, LARGEST_BATCH))
    }

    fn is_fresh(&self, topic: &str, bytes: usize) -> bool {
        if self.silent_at.is_some_and(|at| at.elapsed() < REFUSED) {
            return true;
        }
        match self.known.get(topic) {
            // What would be refused is asked for again soon: somebody may have helped.
            Some((Known::Refused(_), at)) => at.elapsed() < REFUSED,
            Some((Known::Writable(Some(limit)), at)) if bytes + BATCH_BYTES > *limit => {
                at.elapsed() < REFUSED
            }
            Some((Known::Writable(_), at)) => at.elapsed() < FRESH,
            None => false,
        }
    }

    async fn describe(&mut self, topic: &str) -> Known {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let asked = [ResourceSpecifier::Topic(topic)];
        let described = self.admin.describe_configs(&asked, &options).await;
        match described.map(|mut topics| topics.pop()) {
            Ok(Some(Ok(config))) => Known::Writable(largest_batch(&config)),
            Ok(Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition))) => {
                Known::Refused(format!("there is no topic {topic}"))
            }
            Ok(Some(Err(RDKafkaErrorCode::InvalidTopic))) => {
                Known::Refused(format!("{topic} is no name for a topic"))
            }
            // A relay may be allowed to write a topic and not to describe it: writing will tell.
            Ok(Some(Err(_)) | None) => Known::Writable(None),
            Err(error) => {
                tracing::debug!(topic, error = %error, "the topic cannot be described");
                self.silent_at = Some(Instant::now());
                Known::Writable(None)
            }
        }
    }
}

fn largest_batch(config: &ConfigResource) -> Option<usize> {
    config.entry_map().get("max.message.bytes")?.value.as_ref()?.parse().ok()
}
