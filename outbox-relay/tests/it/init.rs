//! `init` and `topics`.

use std::process::Command;

use lab::stack::Stack;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::world::{PATIENCE, binary};

#[test]
fn init_prints_the_very_migration_files() {
    let printed = Command::new(binary()).args(["init", "--print"]).output().unwrap();
    assert!(printed.status.success());
    let files = ["0001_create_outbox.sql", "0004_create_outbox_relay.sql"].map(|file| {
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/messaging/");
        std::fs::read_to_string(format!("{migrations}{file}")).unwrap()
    });
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), files.join("\n"));
}

#[tokio::test]
async fn init_run_twice_leaves_an_outbox_that_a_plain_insert_can_use() {
    let stack = Stack::shared().await.unwrap();
    let name = format!("init_{}", Uuid::now_v7().simple());
    let url = stack.create_database(&name).await.unwrap();
    for said in ["is created", "exists already"] {
        let output =
            Command::new(binary()).args(["init", "--database-url", &url]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(said));
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let readme = include_str!("../../README.md");
    let insert = readme.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    sqlx::raw_sql(insert).execute(&mut connection).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM messaging.outbox")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_progress_topic_is_known_as_soon_as_it_is_said_to_be_created() {
    let stack = Stack::shared().await.unwrap();
    let brokers = stack.kafka().await.unwrap().brokers();
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for _ in 0..10 {
        let topic = format!("progress.{}", Uuid::now_v7().simple());
        let output = Command::new(binary())
            .args(["topics", "--kafka-brokers", brokers, "--progress-topic", &topic])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE).unwrap();
        let found = &metadata.topics()[0];
        assert!(found.error().is_none() && found.partitions().len() == 1, "{:?}", found.error());
    }
}
