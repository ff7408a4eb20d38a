//! Whether Kafka can be reached, and the progress topic is what it must be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;

use crate::broker;
use crate::fault::Fault;
use crate::finding::Finding;
use crate::kafka::KafkaOptions;
use crate::operator::arguments::ProgressArgs;
use crate::operator::doctor::authorised::{self, Operation};

/// How long a question to the admin client may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A Kafka that answers.
pub(crate) struct Cluster {
    admin: Arc<AdminClient<DefaultClientContext>>,
    kafka: KafkaOptions,
    brokers: usize,
    /// How many partitions each topic has, and what is wrong with it.
    topics: BTreeMap<String, (usize, Option<RDKafkaErrorCode>)>,
}

/// Checks it; answers it if it can be reached.
pub(crate) async fn check(progress: &ProgressArgs) -> (Option<Cluster>, Vec<Finding>) {
    let cluster = match Cluster::reach(&progress.kafka).await {
        Ok(cluster) => cluster,
        Err(fault) => return (None, vec![Finding::fault("connection", fault)]),
    };
    let said = format!("{} brokers, by {}", cluster.brokers, progress.kafka.brokers);
    let mut findings = vec![Finding::ok("connection", said)];
    findings.extend(cluster.progress_topic(&progress.progress_topic).await);
    (Some(cluster), findings)
}

impl Cluster {
    async fn reach(kafka: &KafkaOptions) -> Result<Self, Fault> {
        let metadata = broker::ask(kafka, None).await?;
        let admin = kafka
            .client()
            .create()
            .map_err(|error| Fault::of_kafka(&error, &kafka.brokers, &[]))?;
        let (brokers, topics) = (metadata.brokers().len(), topics(&metadata));
        Ok(Self { admin: Arc::new(admin), kafka: kafka.clone(), brokers, topics })
    }

    /// How many partitions a topic has.
    pub(crate) fn partitions(&self, topic: &str) -> Result<usize, Fault> {
        match self.topics.get(topic) {
            None => Err(Fault::new(
                format!("there is no topic {topic} on Kafka, or it may not be seen"),
                format!(
                    "create it (kafka-topics.sh --create --topic {topic}), or authorise DESCRIBE on it"
                ),
            )),
            Some((_, Some(RDKafkaErrorCode::TopicAuthorizationFailed))) => {
                Err(unauthorised(topic, "DESCRIBE"))
            }
            Some((_, Some(code))) => Err(Fault::new(
                format!("topic {topic} cannot be used ({code})"),
                "see the brokers' logs",
            )),
            Some((partitions, None)) => Ok(*partitions),
        }
    }

    /// One setting of a topic, if it may be read.
    pub(crate) async fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, Fault> {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let described =
            self.admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await;
        let described =
            described.map_err(|error| Fault::of_kafka(&error, &self.kafka.brokers, &[]))?;
        Ok(described
            .into_iter()
            .filter_map(Result::ok)
            .find_map(|topic| topic.get(name).and_then(|entry| entry.value.clone())))
    }

    /// Which of `wanted` may not be done with a topic.
    pub(crate) async fn refused(&self, topic: &str, wanted: &[Operation]) -> Option<Fault> {
        let (admin, name) = (Arc::clone(&self.admin), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || authorised::operations(&admin, &name));
        // A broker without an authoriser allows everything, one too old to tell tells nothing.
        let allowed = asked.await.unwrap_or_default()?;
        let refused: Vec<String> = wanted
            .iter()
            .filter(|operation| !allowed.contains(operation))
            .map(ToString::to_string)
            .collect();
        (!refused.is_empty()).then(|| unauthorised(topic, &refused.join(" and ")))
    }

    async fn progress_topic(&self, topic: &str) -> Vec<Finding> {
        const CHECK: &str = "progress topic";
        let partitions = match self.partitions(topic) {
            Ok(partitions) => partitions,
            Err(_) if !self.topics.contains_key(topic) => {
                let cause = format!("there is no progress topic {topic}");
                let cure = "create it with `outbox-relay topics`";
                return vec![Finding::fault(CHECK, Fault::new(cause, cure))];
            }
            Err(fault) => return vec![Finding::fault(CHECK, fault)],
        };
        let mut findings = Vec::new();
        let refused = self.refused(topic, &[Operation::Read, Operation::Write]).await;
        findings.extend(refused.map(|fault| Finding::fault(CHECK, fault)));
        if partitions != 1 {
            let cause = format!(
                "topic {topic} has {partitions} partitions, of which only the first is used"
            );
            let cure = "create another one with `outbox-relay topics` before the first run";
            findings.push(Finding::warning(CHECK, Fault::new(cause, cure)));
        }
        match self.setting(topic, "cleanup.policy").await {
            Ok(Some(policy)) if policy != "compact" => {
                let cause = format!(
                    "topic {topic} has cleanup.policy={policy}, so that progress would be deleted with time"
                );
                let cure = format!(
                    "kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=compact"
                );
                findings.push(Finding::fault(CHECK, Fault::new(cause, cure)));
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                let cause = format!("the settings of topic {topic} may not be read");
                let cure =
                    "authorise DESCRIBE_CONFIGS on it, or see to cleanup.policy=compact yourself";
                findings.push(Finding::warning(CHECK, Fault::new(cause, cure)));
            }
            Err(fault) => findings.push(Finding::fault(CHECK, fault)),
        }
        if findings.is_empty() {
            findings.push(Finding::ok(CHECK, format!("{topic} is compacted and may be used")));
        }
        findings
    }
}

fn topics(metadata: &Metadata) -> BTreeMap<String, (usize, Option<RDKafkaErrorCode>)> {
    let topics = metadata.topics().iter();
    topics
        .map(|topic| {
            let trouble = topic.error().map(RDKafkaErrorCode::from);
            (topic.name().to_owned(), (topic.partitions().len(), trouble))
        })
        .collect()
}

fn unauthorised(topic: &str, operations: &str) -> Fault {
    Fault::new(
        format!("Kafka does not authorise {operations} on topic {topic}"),
        "have its administrator allow that (kafka-acls.sh --add --allow-principal …)",
    )
}
