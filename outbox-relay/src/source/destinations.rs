//! What is known of the topics that events are for: whether they can be written, and how large a record may be.
//!
//! A record that Kafka would refuse for good is found here before it is sent, so that it spoils no batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;

use crate::blocking::blocking;
use crate::kafka::KafkaOptions;
use crate::source::client::ClientLog;

/// For so long what was heard of a topic is believed.
const FRESH: Duration = Duration::from_secs(60);

/// For so long it is believed that a topic is missing, or that its records must be smaller.
const MISSING: Duration = Duration::from_secs(2);

/// How long Kafka may take to describe a topic.
const TIMEOUT: Duration = Duration::from_secs(3);

/// For so long no topic is asked for after Kafka did not answer.
const SILENT: Duration = Duration::from_secs(5);

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
    /// It does not exist.
    Missing,
    /// A record was refused because of its topic, for another reason.
    Refused(String),
}

/// Why a record cannot be sent.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// In a sentence.
    pub(crate) reason: String,
    /// Whether there is no such topic.
    pub(crate) topic_is_missing: bool,
}

/// The topics met so far.
pub(crate) struct Destinations {
    admin: Arc<AdminClient<ClientLog>>,
    known: HashMap<String, (Known, Instant)>,
    /// When Kafka last failed to describe a topic: it is left alone for a while.
    silent_at: Option<Instant>,
}

impl Destinations {
    /// Nothing is known yet.
    pub(crate) fn new(kafka: &KafkaOptions) -> Result<Self, KafkaError> {
        let admin = kafka.client().create_with_context(ClientLog)?;
        Ok(Self { admin: Arc::new(admin), known: HashMap::new(), silent_at: None })
    }

    /// Why a record of so many bytes for `topic` would be refused, as far as is known.
    pub(crate) async fn refusal(&mut self, topic: &str, bytes: usize) -> Option<Refusal> {
        if !self.is_fresh(topic, bytes) {
            self.renew(topic).await;
        }
        let reason = match &self.known.get(topic)?.0 {
            Known::Missing => {
                let reason = format!("there is no topic {topic}");
                return Some(Refusal { reason, topic_is_missing: true });
            }
            Known::Refused(reason) => reason.clone(),
            Known::Writable(Some(limit)) if bytes + BATCH_BYTES > *limit => format!(
                "the record takes {bytes} bytes, and topic {topic} has max.message.bytes={limit}"
            ),
            Known::Writable(_) => return None,
        };
        Some(Refusal { reason, topic_is_missing: false })
    }

    /// Kafka has refused a record because of its topic.
    pub(crate) fn refused(&mut self, topic: &str, reason: &str) {
        self.known.insert(topic.to_owned(), (Known::Refused(reason.to_owned()), Instant::now()));
    }

    /// Asks anew for what `topic` takes, so that the next producer's batches are not too large for it.
    pub(crate) async fn renew(&mut self, topic: &str) {
        let known = self.describe(topic).await;
        self.known.insert(topic.to_owned(), (known, Instant::now()));
    }

    /// Forgets what is known of `topic`: somebody says that it is mended.
    pub(crate) fn forget(&mut self, topic: &str) {
        self.known.remove(topic);
    }

    /// The largest batch that every topic met so far takes, in bytes.
    pub(crate) fn batch_bytes(&self) -> usize {
        let limits = self.known.values().filter_map(|(known, _)| match known {
            Known::Writable(limit) => *limit,
            Known::Missing | Known::Refused(_) => None,
        });
        limits.min().map_or(LARGEST_BATCH, |limit| limit.clamp(SMALLEST_BATCH, LARGEST_BATCH))
    }

    fn is_fresh(&self, topic: &str, bytes: usize) -> bool {
        if self.silent_at.is_some_and(|at| at.elapsed() < SILENT) {
            return true;
        }
        let Some((known, at)) = self.known.get(topic) else { return false };
        let fresh = match known {
            Known::Missing => MISSING,
            // What would be refused is asked for again soon: somebody may have helped.
            Known::Writable(Some(limit)) if bytes + BATCH_BYTES > *limit => MISSING,
            Known::Writable(_) | Known::Refused(_) => FRESH,
        };
        at.elapsed() < fresh
    }

    async fn describe(&mut self, topic: &str) -> Known {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let asked = [ResourceSpecifier::Topic(topic)];
        let described = self.admin.describe_configs(&asked, &options).await;
        let found = match described {
            // A topic that is missing, or that this user may not describe, comes without settings.
            Ok(topics) => {
                match topics.into_iter().find_map(Result::ok).as_ref().and_then(largest_batch) {
                    Some(limit) => return Known::Writable(Some(limit)),
                    None => self.exists(topic).await,
                }
            }
            Err(error) => Err(error),
        };
        match found {
            Ok(true) => Known::Writable(None),
            Ok(false) => Known::Missing,
            Err(error) => {
                tracing::debug!(topic, error = %error, "kafka does not tell of the topic");
                self.silent_at = Some(Instant::now());
                Known::Writable(None)
            }
        }
    }

    /// Whether the cluster knows the topic.
    async fn exists(&self, topic: &str) -> KafkaResult<bool> {
        let (admin, name) = (Arc::clone(&self.admin), topic.to_owned());
        blocking(move || {
            let metadata = admin.inner().fetch_metadata(Some(&name), TIMEOUT)?;
            let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            Ok(metadata.topics().iter().any(|topic| topic.error() != Some(missing)))
        })
        .await
    }
}

fn largest_batch(config: &ConfigResource) -> Option<usize> {
    config.entry_map().get("max.message.bytes")?.value.as_ref()?.parse().ok()
}
