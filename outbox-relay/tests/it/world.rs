//! A test's own database, topic and progress topic, and relays that run over them.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use lab::stack::{Process, Stack, ports};
use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::topic::{self, Received};

/// The relay under test: this build, or the one that `RELAY_UNDER_TEST` names, such as a deliberately broken one.
pub(crate) fn binary() -> String {
    std::env::var("RELAY_UNDER_TEST")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_outbox-relay").to_owned())
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What one test works with.
pub(crate) struct World {
    pub(crate) stack: &'static Stack,
    pub(crate) url: String,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) progress_topic: String,
}

impl World {
    /// A fresh database with an outbox, a topic of three partitions, and an empty progress topic.
    pub(crate) async fn new() -> Self {
        let stack = Stack::shared().await.unwrap();
        let brokers = stack.kafka().await.unwrap().brokers().to_owned();
        Self::with_brokers(stack, brokers).await
    }

    pub(crate) async fn with_brokers(stack: &'static Stack, brokers: String) -> Self {
        let id = Uuid::now_v7().simple();
        let world = Self {
            url: database(stack).await,
            stack,
            brokers,
            topic: format!("events.{id}"),
            progress_topic: format!("progress.{id}"),
        };
        topic::create(&world.brokers, &world.topic, 3).await;
        let created = Command::new(binary())
            .args(["topics", "--kafka-brokers", &world.brokers])
            .args(["--progress-topic", &world.progress_topic])
            .status()
            .unwrap();
        assert!(created.success());
        world
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// A relay of the source `main`, with further arguments.
    pub(crate) fn relay(&self, arguments: &[&str]) -> Relay {
        self.relay_of(&format!("main={}", self.url), arguments)
    }

    pub(crate) fn relay_of(&self, sources: &str, arguments: &[&str]) -> Relay {
        self.relay_with(sources, arguments, &[])
    }

    pub(crate) fn relay_with(
        &self,
        sources: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Relay {
        self.relay_where(&["--sources", sources], arguments, environment)
    }

    /// A relay whose sources are where `sources` says: two arguments.
    pub(crate) fn relay_where(
        &self,
        sources: &[&str],
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Relay {
        let arguments = [sources, &["--kafka-brokers", &self.brokers], arguments].concat();
        self.spawn(&arguments, environment)
    }

    /// A relay that is told everything but where its progress and its health are.
    pub(crate) fn spawn(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Relay {
        let admin = ports::free().unwrap();
        let mut command = Command::new(binary());
        command
            .arg("run")
            .args(["--progress-topic", &self.progress_topic])
            .args(["--admin-listen", &format!("127.0.0.1:{admin}")])
            .args(arguments)
            .env("RUST_LOG", "info")
            .envs(environment.iter().copied());
        let log = self.stack.directory().join(format!("relay-{admin}.log"));
        let process = Process::spawn("outbox-relay", command, &log, Signal::SIGKILL).unwrap();
        Relay { process, admin }
    }

    /// A relay that leads the source `main`.
    pub(crate) async fn leader(&self, arguments: &[&str]) -> Relay {
        let relay = self.relay(arguments);
        relay.until("main", |source| source["state"] == "leader").await;
        relay
    }

    /// Inserts one row of `key` in a transaction of its own.
    pub(crate) async fn insert(&self, connection: &mut PgConnection, key: &str, subject: &str) {
        insert_for(connection, &self.topic, key, subject).await;
    }

    /// Inserts so many rows of `key` in one statement; their subjects count from 1.
    pub(crate) async fn insert_many(
        &self,
        connection: &mut PgConnection,
        key: &str,
        rows: impl Display,
    ) {
        let many = format!(
            "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
            SELECT gen_random_uuid(), '{}', '{key}', 'T', 's', number::text, '' FROM generate_series(1, {rows}) AS number",
            self.topic
        );
        execute(connection, many).await;
    }

    /// Waits until `count` records stand on the topic, and answers all that do.
    pub(crate) async fn received(&self, count: usize) -> Vec<Received> {
        topic::receive(&self.brokers, &self.topic, count).await
    }

    /// Every record that stands on the topic, once `count` do and nothing came for a second.
    pub(crate) async fn subjects(&self, count: usize) -> Vec<String> {
        let received = self.received(count).await;
        received.into_iter().map(|record| record.header("ce_subject").to_owned()).collect()
    }
}

/// A fresh database with an outbox.
pub(crate) async fn database(stack: &Stack) -> String {
    stack
        .template("outbox", async |url| {
            let mut connection = PgConnection::connect(&url).await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(outbox_relay::outbox_sql()))
                .execute(&mut connection)
                .await?;
            connection.close().await
        })
        .await
        .unwrap();
    stack.database_from_template("outbox").await.unwrap()
}

/// Inserts one row for `topic`.
pub(crate) async fn insert_for(
    connection: &mut PgConnection,
    topic: &str,
    key: &str,
    subject: &str,
) {
    sqlx::query(
        "INSERT INTO messaging.outbox (id, aggregatetype, aggregateid, type, source, subject, payload)
        VALUES ($1, $2, $3, 'test.Happened', '/test', $4, convert_to($4, 'UTF8'))",
    )
    .bind(Uuid::now_v7())
    .bind(topic)
    .bind(key)
    .bind(subject)
    .execute(connection)
    .await
    .unwrap();
}

/// Runs a statement that the test has written.
pub(crate) async fn execute(connection: &mut PgConnection, statement: impl Into<String>) {
    connection.execute(AssertSqlSafe(statement.into())).await.unwrap();
}

/// A relay that runs.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) admin: u16,
}

impl Relay {
    /// What `/readyz` says: whether it is ready, and of what it is made.
    pub(crate) fn readyz(&self) -> Option<(bool, Value)> {
        let (head, body) = self.get("/readyz")?;
        Some((head.starts_with("HTTP/1.1 200"), serde_json::from_str(&body).ok()?))
    }

    /// The value of the metric whose line begins with `name`.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, body) = self.get("/metrics")?;
        let line = body.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    fn get(&self, path: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.to_owned(), body.to_owned()))
    }

    /// Waits until the body of a source is as wanted, and answers it with the whole's readiness.
    pub(crate) async fn until(
        &self,
        source: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> (bool, Value) {
        let mut found = None;
        let waited = self
            .process
            .ready(PATIENCE, async || {
                let Some((ready, body)) = self.readyz() else { return false };
                let body = body["sources"][source].clone();
                let good = wanted(&body);
                found = Some((ready, body));
                good
            })
            .await;
        waited.unwrap_or_else(|error| panic!("{error}; last seen: {found:?}"));
        found.unwrap()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.process.log()).unwrap()
    }

    /// Stops it with SIGTERM; it must end by itself with success.
    pub(crate) async fn stop(self) {
        let status = self.process.stop(Signal::SIGTERM, Duration::from_secs(12)).await.unwrap();
        assert!(status.success(), "{status}");
    }
}
