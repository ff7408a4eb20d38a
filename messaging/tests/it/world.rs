//! A database, a topic and a group of a test's own, and the hands to use them.

use std::{collections::BTreeMap, time::Duration};

use lab::stack::Stack;
use messaging::{
    Consumer, ConsumerMetrics, ConsumerOptions, ConsumerStatus, Handler,
    topics::{self, Topic},
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    groups::GroupInfo,
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};
use runtime::Shutdown;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) database_url: String,
    pub(crate) brokers: String,
    pub(crate) topic: &'static str,
    pub(crate) group: String,
    producer: FutureProducer,
}

impl World {
    /// A topic of one partition, so that one batch is what stands on it.
    pub(crate) async fn new() -> Self {
        let world = Self::without_dead_letter_topic(1).await;
        world.create_dead_letter_topic().await;
        world
    }

    pub(crate) async fn without_dead_letter_topic(partitions: i32) -> Self {
        let world = Self::without_topics().await;
        world.create_topic(partitions).await;
        world
    }

    pub(crate) async fn without_topics() -> Self {
        let kafka = Stack::shared().await.unwrap().kafka().await.unwrap();
        Self::on(kafka.brokers()).await
    }

    /// A world on another Kafka.
    pub(crate) async fn on(brokers: &str) -> Self {
        let database_url = database().await;
        let brokers = brokers.to_owned();
        let name = Uuid::now_v7();
        let topic: &'static str = format!("test.{name}").leak();
        let producer =
            ClientConfig::new().set("bootstrap.servers", &brokers).set("linger.ms", "0").create();
        Self {
            pool: connect(&database_url).await,
            database_url,
            brokers,
            topic,
            group: format!("group-{name}"),
            producer: producer.unwrap(),
        }
    }

    pub(crate) async fn create_topic(&self, partitions: i32) {
        let declared = Topic { name: self.topic.into(), partitions, ..topics::ORDERS };
        topics::create(&self.brokers, &[declared]).await.unwrap();
    }

    pub(crate) async fn create_dead_letter_topic(&self) {
        topics::create(&self.brokers, &topics::dead_letters(&self.group, &[self.topic]))
            .await
            .unwrap();
    }

    pub(crate) fn options(&self) -> ConsumerOptions {
        let mut options = ConsumerOptions::new(&self.brokers, &self.group);
        // Long enough for all that stands on the topic to be one batch.
        options.batch_time = Duration::from_secs(10);
        options.backoff_max = Duration::from_millis(400);
        options.overrides = vec![pair(("statistics.interval.ms", "200"))];
        options
    }

    pub(crate) fn start<H: Handler>(&self, handler: H) -> Running {
        self.start_with(self.options(), handler)
    }

    pub(crate) fn start_with<H: Handler>(&self, options: ConsumerOptions, handler: H) -> Running {
        let consumer =
            Consumer::new(options, self.pool.clone(), handler, ConsumerMetrics::default());
        let status = consumer.status();
        let shutdown = Shutdown::default();
        let mut task = JoinSet::new();
        let requested = shutdown.clone();
        task.spawn(async move { consumer.run(requested).await.unwrap() });
        Running { status, shutdown, task }
    }

    /// Publishes an event with this id and answers once Kafka has it.
    pub(crate) async fn publish(&self, event_id: Uuid) {
        self.publish_with(&event_id.to_string(), &[("ce_id", &event_id.to_string())], b"").await;
    }

    pub(crate) async fn publish_many(&self, count: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            self.publish(*id).await;
        }
        ids
    }

    pub(crate) async fn publish_with(&self, key: &str, headers: &[(&str, &str)], payload: &[u8]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let record = FutureRecord::to(self.topic).key(key).payload(payload).headers(headers);
        self.producer.send(record, PATIENCE).await.unwrap();
    }

    /// How often each event had its effect.
    pub(crate) async fn effects(&self) -> BTreeMap<Uuid, i64> {
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT event_id, count(*) FROM effects GROUP BY event_id")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        rows.into_iter().collect()
    }

    /// How many transactions committed the effects.
    pub(crate) async fn transactions(&self) -> i64 {
        sqlx::query_scalar("SELECT count(DISTINCT transaction_id::text) FROM effects")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until each of `ids` had its effect, then sees that each had it once, and nothing else had.
    pub(crate) async fn effects_are(&self, ids: &[Uuid]) {
        until("every effect", async || self.effects().await.len() >= ids.len()).await;
        let expected: BTreeMap<Uuid, i64> = ids.iter().map(|id| (*id, 1)).collect();
        assert_eq!(self.effects().await, expected);
    }

    pub(crate) async fn remembers(&self, event_id: Uuid) -> bool {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM messaging.inbox WHERE event_id = $1)")
            .bind(event_id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// The sum of the group's committed offsets over the topic's partitions.
    pub(crate) async fn committed(&self, partitions: i32) -> i64 {
        let (group, topic) = (self.group.clone(), self.topic);
        self.ask(
            move |client: BaseConsumer| {
                let mut list = TopicPartitionList::new();
                list.add_partition_range(topic, 0, partitions - 1);
                let committed = client.committed_offsets(list, PATIENCE).unwrap();
                committed
                    .elements()
                    .iter()
                    .filter_map(|element| element.offset().to_raw())
                    .filter(|offset| *offset > 0)
                    .sum()
            },
            &group,
        )
        .await
    }

    /// The ids of the group's members, which change when a member was thrown out and joined again.
    pub(crate) async fn members(&self) -> Vec<String> {
        let group = self.group.clone();
        self.ask(
            move |client: BaseConsumer| {
                let groups = client.fetch_group_list(Some(&group), PATIENCE).unwrap();
                let members = groups.groups().iter().flat_map(GroupInfo::members);
                members.map(|member| member.id().to_owned()).collect()
            },
            "observer",
        )
        .await
    }

    /// Waits for the first `count` dead letters and answers them, after a moment for surplus ones.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<OwnedMessage> {
        let topic = topics::dead_letter_topic(&self.group, self.topic);
        self.ask(
            move |client: BaseConsumer| {
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
                client.assign(&list).unwrap();
                let mut letters = Vec::new();
                while letters.len() < count {
                    let letter = client.poll(PATIENCE).expect("a dead letter").unwrap();
                    letters.push(letter.detach());
                }
                let surplus = client.poll(Duration::from_millis(500));
                assert!(surplus.is_none(), "more dead letters than {count}");
                letters
            },
            "observer",
        )
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(BaseConsumer) -> T + Send + 'static,
        group: &str,
    ) -> T {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .create()
            .unwrap();
        tokio::task::spawn_blocking(move || question(client)).await.unwrap()
    }
}

/// A consumer at work.
pub(crate) struct Running {
    pub(crate) status: ConsumerStatus,
    shutdown: Shutdown,
    task: JoinSet<()>,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        self.shutdown.request();
        tokio::time::timeout(PATIENCE, self.task.join_next()).await.unwrap().unwrap().unwrap();
    }

    /// Waits for the consumer to die of a panic.
    pub(crate) async fn dies(mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next()).await.unwrap().unwrap();
        assert!(ended.unwrap_err().is_panic());
    }

    pub(crate) async fn has_partitions(&self, count: usize) {
        until("partitions", async || self.status.report()["assigned_partitions"] == count).await;
    }
}

/// The URL of a migrated database of the test's own, with a table of effects.
pub(crate) async fn database() -> String {
    let stack = Stack::shared().await.unwrap();
    stack
        .template("messaging", async |url| {
            let pool = PgPool::connect(&url).await?;
            messaging::migrate::run(&pool).await?;
            sqlx::raw_sql(
                "CREATE TABLE effects (
                     event_id uuid NOT NULL,
                     note text NOT NULL DEFAULT '' CHECK (note <> 'forbidden'),
                     transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id()
                 )",
            )
            .execute(&pool)
            .await?;
            pool.close().await;
            Ok::<_, sqlx::migrate::MigrateError>(())
        })
        .await
        .unwrap();
    stack.database_from_template("messaging").await.unwrap()
}

pub(crate) async fn connect(database_url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(3));
    pool.connect(database_url).await.unwrap()
}

/// Waits for a state; gives up loudly.
pub(crate) async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(PATIENCE, async {
        while !reached().await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(patience.await.is_ok(), "waited in vain for {what}");
}

pub(crate) fn header<'a>(letter: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let header = letter.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}

pub(crate) fn pair((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
