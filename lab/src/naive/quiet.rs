//! When a tiny store has come to rest, and what stands on Kafka.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    metadata::MetadataTopic,
};
use tokio::time::sleep;
use uuid::Uuid;

use super::{NaiveError, flaw::Role, store::topics_of};
use crate::{campaign::read_records, tap::TOPICS};

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The ids of all events on Kafka.
pub(crate) async fn published(brokers: &str) -> Result<HashSet<Uuid>, NaiveError> {
    let records = read_records(brokers, TOPICS.map(str::to_owned).to_vec()).await;
    let records = records.map_err(|_| NaiveError::Kafka(KafkaError::Canceled))?;
    Ok(records.into_iter().map(|(event, _)| event.id).collect())
}

/// Waits until nothing moves: the two groups have handled all that is on Kafka, and meanwhile `waiting` counts no row that the
/// relay has yet to publish.
pub(super) async fn until_quiet(
    brokers: &str,
    mut waiting: impl AsyncFnMut(&HashSet<Uuid>) -> Result<usize, NaiveError>,
) -> Result<(), NaiveError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let before = ends(brokers).await?;
        if let Some(before) = before
            && waiting(&published(brokers).await?).await? == 0
            && ends(brokers).await? == Some(before)
        {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
    Err(NaiveError::Restless(PATIENCE.as_secs()))
}

/// Where the topics end, if both groups have come there.
async fn ends(brokers: &str) -> KafkaResult<Option<Vec<i64>>> {
    let brokers = brokers.to_owned();
    let ends = tokio::task::spawn_blocking(move || {
        let mut ends = Vec::new();
        for role in Role::ALL {
            let Some(of_role) = ends_of(&brokers, role)? else { return Ok(None) };
            ends.extend(of_role);
        }
        Ok(Some(ends))
    });
    ends.await.map_err(|_| KafkaError::Canceled)?
}

fn ends_of(brokers: &str, role: Role) -> KafkaResult<Option<Vec<i64>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", role.group())
        .create()?;
    let partitions = partitions(&consumer, topics_of(role))?;
    let committed = consumer.committed_offsets(partitions, ANSWER)?;
    let mut ends = Vec::new();
    for partition in committed.elements() {
        let (_, end) =
            consumer.fetch_watermarks(partition.topic(), partition.partition(), ANSWER)?;
        let is_there =
            if let Offset::Offset(offset) = partition.offset() { offset == end } else { end == 0 };
        if !is_there {
            return Ok(None);
        }
        ends.push(end);
    }
    Ok(Some(ends))
}

/// All partitions of `topics`, at what the group has committed.
pub(super) fn partitions<C: rdkafka::consumer::ConsumerContext>(
    consumer: &impl Consumer<C>,
    topics: &[&str],
) -> KafkaResult<TopicPartitionList> {
    let mut partitions = TopicPartitionList::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER)?;
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            partitions.add_partition_offset(topic, partition.id(), Offset::Stored)?;
        }
    }
    Ok(partitions)
}
