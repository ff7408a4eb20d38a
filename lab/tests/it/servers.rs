//! PostgreSQL and Kafka: databases from templates, and data that survives crashes of the servers.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use lab::stack::{Stack, StackOptions};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use sqlx::{Connection, PgConnection};

#[tokio::test]
async fn a_template_is_migrated_once_and_each_copy_is_apart() {
    static MIGRATIONS: AtomicU32 = AtomicU32::new(0);
    let stack = Stack::shared().await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..2 {
        stack
            .template("apart", async |url| {
                MIGRATIONS.fetch_add(1, Ordering::Relaxed);
                let mut connection = PgConnection::connect(&url).await?;
                sqlx::query("CREATE TABLE t (i INT NOT NULL)").execute(&mut connection).await?;
                connection.close().await
            })
            .await
            .unwrap();
        let url = stack.database_from_template("apart").await.unwrap();
        connections.push(PgConnection::connect(&url).await.unwrap());
    }
    sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connections[0]).await.unwrap();
    assert_eq!(MIGRATIONS.load(Ordering::Relaxed), 1);
    assert_eq!((rows(&mut connections[0]).await, rows(&mut connections[1]).await), (1, 0));
}

#[tokio::test]
async fn postgres_comes_back_with_its_data_after_a_crash_and_after_a_stop() {
    let stack = Stack::shared().await.unwrap();
    let postgres = stack.fresh_postgres().await.unwrap();
    let url = postgres.create_database("kept").await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE t (i INT NOT NULL)").execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection).await.unwrap();

    postgres.kill().await.unwrap();
    assert!(PgConnection::connect(&url).await.is_err(), "a killed server still answers");
    postgres.start().await.unwrap();
    assert_eq!(rows(&mut PgConnection::connect(&url).await.unwrap()).await, 1);

    postgres.stop().await.unwrap();
    postgres.start().await.unwrap();
    assert_eq!(rows(&mut PgConnection::connect(&url).await.unwrap()).await, 1);
}

#[tokio::test]
async fn kafka_comes_back_with_its_topics_after_a_crash_and_after_a_stop() {
    let stack = Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    create_topic(kafka.brokers(), "kept").await;

    kafka.kill().await.unwrap();
    kafka.start().await.unwrap();
    assert_eq!(partitions(kafka.brokers(), "kept"), 3);

    kafka.stop().await.unwrap();
    kafka.start().await.unwrap();
    assert_eq!(partitions(kafka.brokers(), "kept"), 3);
}

#[tokio::test]
async fn a_dropped_stack_removes_its_directory() {
    let stack = Stack::start_postgres_only(StackOptions::default()).await.unwrap();
    let directory = stack.directory().to_owned();
    assert!(directory.join("postgres/PG_VERSION").exists() || directory.join("postgres").exists());
    drop(stack);
    assert!(!directory.exists());
}

#[tokio::test]
async fn data_in_a_directory_of_the_users_stays_and_is_found_again() {
    let parent = std::env::temp_dir().join(format!("lab-test-{}", uuid::Uuid::now_v7()));
    let options = StackOptions { directory: Some(parent.clone()), ..StackOptions::default() };
    for _ in 0..2 {
        let stack = Stack::start_postgres_only(options.clone()).await.unwrap();
        stack.ensure_database("kept").await.unwrap();
        stack.stop().await.unwrap();
    }
    let stack = Stack::start_postgres_only(options.clone()).await.unwrap();
    assert!(stack.create_database("kept").await.is_err(), "the database was not kept");
    let second = Stack::start_postgres_only(options).await.unwrap_err();
    assert!(second.to_string().contains("in use by another run"), "{second}");
    drop(stack);
    std::fs::remove_dir_all(parent).unwrap();
}

async fn rows(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(connection).await.unwrap()
}

async fn create_topic(brokers: &str, name: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let topic = NewTopic::new(name, 3, TopicReplication::Fixed(1));
    for result in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
        result.unwrap();
    }
}

fn partitions(brokers: &str, topic: &str) -> usize {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    metadata.topics()[0].partitions().len()
}
