//! Reads all event topics and all dead-letter topics to their ends, as a consumer that takes what is committed, and from
//! where the services would read on.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers},
    metadata::{MetadataPartition, MetadataTopic},
};

use super::{AuditError, Owner, Position, Record, Snapshot};
use crate::tap::TOPICS;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long Kafka may take to answer at all.
const FIRST_PATIENCE: Duration = Duration::from_secs(8);
const QUIET: Duration = Duration::from_millis(100);
/// How the name of a dead-letter topic ends.
const DEAD_LETTERS: &str = ".dlq";

/// Reads everything at `brokers` into `snapshot`. Blocks.
pub(super) fn read(brokers: &str, snapshot: &mut Snapshot) -> Result<(), AuditError> {
    let consumer = consumer(brokers, "lab-audit")?;
    let metadata = consumer
        .fetch_metadata(None, FIRST_PATIENCE)
        .map_err(|source| AuditError::NoKafka { brokers: brokers.to_owned(), source })?;
    for topic in metadata.topics() {
        let name = topic.name();
        if TOPICS.contains(&name) {
            read_topic(&consumer, topic, &mut snapshot.records, &mut snapshot.lost_beginnings)?;
        } else if name.ends_with(DEAD_LETTERS) {
            read_topic(
                &consumer,
                topic,
                &mut snapshot.dead_letters,
                &mut snapshot.lost_beginnings,
            )?;
        }
    }
    snapshot.lost_beginnings.extend(missing(metadata.topics()));
    for reader in Owner::ALL {
        snapshot.positions.extend(positions(brokers, reader, metadata.topics())?);
    }
    Ok(())
}

/// The topics that are not there, in a sentence each. Without its dead-letter topic a consumer can park nothing, and what it had
/// parked is gone.
fn missing(topics: &[MetadataTopic]) -> Vec<String> {
    let there: BTreeSet<_> = topics.iter().map(MetadataTopic::name).collect();
    let letters = |reader: Owner| {
        reader.reads().iter().map(move |topic| format!("{}.{topic}{DEAD_LETTERS}", reader.name()))
    };
    let wanted =
        TOPICS.map(str::to_owned).into_iter().chain(Owner::ALL.into_iter().flat_map(letters));
    let missing = wanted.filter(|topic| !there.contains(topic.as_str()));
    missing.map(|topic| format!("topic {topic} is not there")).collect()
}

/// One that commits nothing and joins no group.
fn consumer(brokers: &str, group: &str) -> KafkaResult<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "20")
        .create()
}

/// Reads each partition up to its end.
fn read_topic(
    consumer: &BaseConsumer,
    topic: &MetadataTopic,
    records: &mut Vec<Record>,
    lost_beginnings: &mut Vec<String>,
) -> Result<(), AuditError> {
    let name = topic.name();
    let mut assignment = TopicPartitionList::new();
    let mut open = BTreeSet::new();
    for partition in topic.partitions().iter().map(MetadataPartition::id) {
        let (low, high) = consumer.fetch_watermarks(name, partition, PATIENCE)?;
        if low > 0 {
            let sentence =
                format!("partition {partition} of topic {name} begins at offset {low}, not 0");
            lost_beginnings.push(sentence);
        }
        if high > low {
            assignment.add_partition_offset(name, partition, Offset::Beginning)?;
            open.insert(partition);
        }
    }
    consumer.assign(&assignment)?;
    let mut read = Vec::new();
    let mut heard_at = Instant::now();
    while let Some(&partition) = open.first() {
        match consumer.poll(QUIET) {
            Some(Ok(message)) => read.push(Record::from(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(error.into()),
            None if heard_at.elapsed() > PATIENCE => {
                return Err(AuditError::Silent { topic: name.to_owned(), partition });
            }
            None => continue,
        }
        heard_at = Instant::now();
    }
    consumer.unassign()?;
    read.sort_by_key(|record| (record.partition, record.offset));
    records.append(&mut read);
    Ok(())
}

/// From where `reader` would go on in each partition of the topics that it reads.
fn positions(
    brokers: &str,
    reader: Owner,
    topics: &[MetadataTopic],
) -> Result<Vec<Position>, AuditError> {
    let mut wanted = TopicPartitionList::new();
    for topic in topics.iter().filter(|topic| reader.reads().contains(&topic.name())) {
        for partition in topic.partitions() {
            wanted.add_partition(topic.name(), partition.id());
        }
    }
    let committed = consumer(brokers, reader.name())?.committed_offsets(wanted, PATIENCE)?;
    let position = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| Position {
        reader,
        topic: element.topic().to_owned(),
        partition: element.partition(),
        offset: element.offset().to_raw().unwrap_or_default().max(0),
    };
    Ok(committed.elements().into_iter().map(position).collect())
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text).unwrap_or_default(),
            headers: headers
                .filter_map(|header| Some((header.key.to_owned(), text(header.value?))))
                .collect(),
            payload: message.payload().unwrap_or_default().to_vec(),
        }
    }
}
