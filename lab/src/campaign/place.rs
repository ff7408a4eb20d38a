//! Where a round happens: a database, topics and a progress topic of its own, on servers that it shares unless it breaks them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::{
    RoundError,
    arena::{Arena, Servers},
    records,
};
use crate::{
    processes,
    stack::{Process, StackError},
};

const STEP_PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;

/// What a record on the topic for small ones may have, in bytes.
pub(super) const SMALL: usize = 20_000;

/// The rows whose locks make the order of a key: the writers' own table, of which the relay knows nothing.
const KEYS: &str = "CREATE SCHEMA campaign;
    CREATE TABLE campaign.keys (
        topic text,
        key text,
        version bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (topic, key)
    )";

/// A round's place.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) database: String,
    pub(super) url: String,
    pub(super) brokers: String,
    /// What the writers write to.
    pub(super) topics: [String; 2],
    /// What takes only small records.
    pub(super) small_topic: String,
    pub(super) progress_topic: String,
    pub(super) binaries: PathBuf,
    /// Where the relays' logs are.
    pub(super) directory: PathBuf,
    pub(super) own: Option<Servers>,
    /// The server in which the database lies.
    server: String,
}

impl Place {
    /// Makes one, with servers of its own if `breaks_servers`.
    pub(super) async fn create(
        arena: &Arena<'_>,
        breaks_servers: bool,
    ) -> Result<Self, RoundError> {
        let id = Uuid::now_v7().simple();
        let stack = arena.stack();
        let own = if breaks_servers { Some(arena.take().await?) } else { None };
        let (postgres, kafka) = match &own {
            Some(own) => (&own.postgres, &own.kafka),
            None => (stack.postgres(), stack.kafka().await?),
        };
        let database = format!("campaign_{id}");
        let place = Self {
            url: postgres.create_database(&database).await?,
            server: postgres.url("postgres"),
            brokers: kafka.brokers().to_owned(),
            topics: [format!("campaign.{id}.a"), format!("campaign.{id}.b")],
            small_topic: format!("campaign.{id}.small"),
            progress_topic: format!("campaign.{id}.progress"),
            binaries: processes::build().await?.to_owned(),
            directory: stack.directory().join(&database),
            database,
            own,
        };
        std::fs::create_dir(&place.directory)?;
        tokio::try_join!(place.prepare_database(), place.create_topics())?;
        Ok(place)
    }

    async fn prepare_database(&self) -> Result<(), RoundError> {
        self.step(&["init", "--database-url", &self.url]).await?;
        let mut connection = PgConnection::connect(&self.url).await?;
        connection.execute(KEYS).await?;
        Ok(connection.close().await?)
    }

    async fn create_topics(&self) -> Result<(), RoundError> {
        let one = || TopicReplication::Fixed(1);
        let limit = SMALL.to_string();
        let [a, b] = &self.topics;
        let topics = [
            NewTopic::new(a, PARTITIONS, one()),
            NewTopic::new(b, PARTITIONS, one()),
            NewTopic::new(&self.small_topic, 1, one()).set("max.message.bytes", &limit),
        ];
        for created in self.admin()?.create_topics(&topics, &AdminOptions::new()).await? {
            created.map_err(|(topic, code)| RoundError::Topic { topic, code })?;
        }
        let progress = ["topics", "--progress-topic", &self.progress_topic];
        self.step(&[&progress[..], &["--kafka-brokers", &self.brokers]].concat()).await?;
        records::until_topics_are_there(&self.brokers, self.all_topics()).await
    }

    /// The topic for small records takes large ones from now on.
    pub(super) async fn enlarge_small_topic(&self) -> Result<(), RoundError> {
        let config = AlterConfig::new(ResourceSpecifier::Topic(&self.small_topic))
            .set("max.message.bytes", "1000000");
        for altered in self.admin()?.alter_configs(&[config], &AdminOptions::new()).await? {
            altered
                .map_err(|(_, code)| RoundError::Topic { topic: self.small_topic.clone(), code })?;
        }
        Ok(())
    }

    /// Runs a subcommand of the relay to its end.
    async fn step(&self, arguments: &[&str]) -> Result<(), RoundError> {
        let mut command = Command::new(self.relay());
        command.args(arguments);
        let name = format!("outbox-relay {}", arguments[0]);
        let log = self.directory.join("steps.log");
        let process = Process::spawn(&name, command, &log, Signal::SIGKILL)?;
        let status = process.ended(STEP_PATIENCE).await?;
        if status.success() { Ok(()) } else { Err(StackError::ended(&name, status, &log).into()) }
    }

    /// The relay's program.
    pub(super) fn relay(&self) -> PathBuf {
        self.binaries.join("outbox-relay")
    }

    /// All topics with events.
    pub(super) fn event_topics(&self) -> Vec<String> {
        [&self.topics[..], std::slice::from_ref(&self.small_topic)].concat()
    }

    /// Whether Kafka itself has broken what it promises for transactions.
    pub(super) fn kafka_has_left_something_hanging(&self) -> Result<bool, RoundError> {
        // One that is shared is never killed.
        let Some(own) = &self.own else { return Ok(false) };
        let (topics, hanging) = (self.all_topics(), own.kafka.left_hanging()?);
        Ok(hanging.iter().any(|line| topics.iter().any(|topic| line.contains(topic))))
    }

    fn all_topics(&self) -> Vec<String> {
        [self.event_topics(), vec![self.progress_topic.clone()]].concat()
    }

    /// Removes what the round has left, and gives its own servers back.
    pub(super) async fn remove(self, arena: &Arena<'_>) -> Result<(), RoundError> {
        let topics = self.all_topics();
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        self.admin()?.delete_topics(&topics, &AdminOptions::new()).await?;
        let mut connection = PgConnection::connect(&self.server).await?;
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await?;
        std::fs::remove_dir_all(&self.directory)?;
        if let Some(servers) = self.own {
            arena.give_back(servers);
        }
        Ok(())
    }

    /// Copies the relays' logs to where they stay.
    pub(super) fn keep_logs(&self, directory: &Path) -> Result<(), RoundError> {
        std::fs::create_dir_all(directory)?;
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            std::fs::copy(entry.path(), directory.join(entry.file_name()))?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, RoundError> {
        Ok(ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?)
    }
}
