//! The topic that rows go to: made anew for each contender, and watched by its ends, which costs the broker next to nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::Headers,
    types::RDKafkaErrorCode,
};

/// As many as the store's topics have.
pub(super) const PARTITIONS: i32 = 12;
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// A topic that is empty at first.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) name: String,
    brokers: String,
    consumer: Arc<BaseConsumer>,
}

impl Topic {
    /// Removes the topic `name`, if there is one, and creates it.
    pub(super) async fn fresh(brokers: &str, name: &str) -> anyhow::Result<Self> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).create()?;
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        admin.delete_topics(&[name], &options).await?;
        let new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))
            // What is removed is to leave the disk soon.
            .set("file.delete.delay.ms", "1000");
        let deadline = Instant::now() + PATIENCE;
        // The old one takes a moment to go.
        while let Err((_, code)) = &admin.create_topics([&new], &options).await?[0] {
            if *code != RDKafkaErrorCode::TopicAlreadyExists || Instant::now() > deadline {
                bail!("topic {name} cannot be created: {code}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        let consumer = Arc::new(consumer(brokers)?);
        let topic = Self { name: name.to_owned(), brokers: brokers.to_owned(), consumer };
        while topic.records().await.is_none() {
            if Instant::now() > deadline {
                bail!("topic {name} has been created and cannot be read");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(topic)
    }

    /// Removes it.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
        admin.delete_topics(&[&self.name], &AdminOptions::new()).await?;
        Ok(())
    }

    /// Where its partitions end for a reader of what is committed, summed up: the records there are, and the marks of
    /// transactions. `None` if the broker does not say.
    pub(super) async fn records(&self) -> Option<i64> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.ends().ok()).await.ok().flatten()
    }

    /// Reads all that is committed and counts it.
    pub(super) async fn count(&self) -> anyhow::Result<i64> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.count_blocking()).await?
    }

    /// How many headers a record has, which is what most of its cost is.
    pub(super) async fn headers(&self) -> anyhow::Result<usize> {
        let reader = self.reader(Offset::Beginning)?;
        let first = tokio::task::spawn_blocking(move || {
            loop {
                match reader.poll(PATIENCE) {
                    Some(Err(KafkaError::PartitionEOF(_))) => {}
                    Some(Ok(message)) => return Ok(message.headers().map_or(0, Headers::count)),
                    Some(Err(error)) => return Err(error.into()),
                    None => bail!("the topic cannot be read"),
                }
            }
        });
        first.await?
    }

    /// A reader of all partitions, from `offset` on.
    pub(super) fn reader(&self, offset: Offset) -> KafkaResult<BaseConsumer> {
        let reader = consumer(&self.brokers)?;
        reader.assign(&self.partitions(offset)?)?;
        Ok(reader)
    }

    fn partitions(&self, offset: Offset) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(&self.name, partition, offset)?;
        }
        Ok(list)
    }

    /// One request to the broker, for the offsets at the time "the end".
    fn ends(&self) -> KafkaResult<i64> {
        let ends = self.consumer.offsets_for_times(self.partitions(Offset::End)?, PATIENCE)?;
        ends.elements().iter().try_fold(0, |sum, partition| {
            partition.error()?;
            Ok(sum + partition.offset().to_raw().unwrap_or_default().max(0))
        })
    }

    fn count_blocking(&self) -> anyhow::Result<i64> {
        let reader = self.reader(Offset::Beginning)?;
        let mut counted = 0;
        let mut ended = 0;
        while ended < PARTITIONS {
            match reader.poll(PATIENCE).context("the topic cannot be read to its end")? {
                Ok(message) => counted += i64::from(message.payload().is_some()),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(counted)
    }
}

fn consumer(brokers: &str) -> KafkaResult<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .create()
}
