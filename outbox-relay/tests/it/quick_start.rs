//! The README's quick start, run as it stands.
//!
//! Only the two addresses in its first block are others here, those of the test's servers. `PATH` begins with a directory that has
//! what the reader is said to need: the relay, and Kafka's tools as its own scripts start them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::stack::{Kafka, Process, Stack, ports};
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};

use crate::world::{PATIENCE, Relay, binary, execute};

/// Kafka's tools that the reader uses, and the classes that these scripts start.
const TOOLS: [(&str, &str); 2] = [
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-console-consumer.sh", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
];

#[tokio::test]
async fn the_quick_start_brings_a_row_to_kafka_as_it_says() {
    let stack = Stack::shared().await.unwrap();
    let kafka = stack.fresh_kafka().await.unwrap();
    let url = stack.create_database("quick_start").await.unwrap();
    let terminal = Terminal::new(stack, &kafka);
    let [("sh", addresses), ("sh", run), ("sql", insert), ("sh", see), ("text", seen)] = blocks()
    else {
        panic!("the quick start has other blocks: {:?}", blocks())
    };
    let addresses = instead(addresses, "postgres://localhost/shop", &url);
    let addresses = instead(&addresses, "localhost:9092", kafka.brokers());

    let process = terminal.start(&format!("{addresses}{run}"), "run.log");
    let relay = Relay { process, admin: terminal.admin };
    relay.until("shop", |source| source["state"] == "leader").await;
    assert!(relay.log().contains("Created topic shop.orders"), "{}", relay.log());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    execute(&mut connection, insert).await;
    relay.until("shop", |source| source["watermark"] == 1 && source["in_flight"] == 0).await;
    let said = terminal.run(&format!("{addresses}{see}"), "see.log").await;
    assert!(said.contains(seen) && said.contains("number 1, shop: it is published"), "{said}");
    relay.process.stop(Signal::SIGTERM, PATIENCE).await.unwrap();
}

/// The blocks of the quick start, each with its language.
fn blocks() -> [(&'static str, &'static str); 5] {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Quick start\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let fenced = section.split("```").skip(1).step_by(2);
    let blocks: Vec<_> = fenced.map(|block| block.split_once('\n').unwrap()).collect();
    blocks
        .try_into()
        .unwrap_or_else(|blocks| panic!("the quick start has other blocks: {blocks:?}"))
}

/// The block with another address in the place of its only one of these.
fn instead(block: &str, address: &str, other: &str) -> String {
    assert_eq!(block.matches(address).count(), 1, "{address} in {block}");
    block.replace(address, other)
}

/// Where the reader types.
struct Terminal {
    directory: PathBuf,
    admin: u16,
}

impl Terminal {
    fn new(stack: &Stack, kafka: &Kafka) -> Self {
        let directory = stack.directory().join("quick_start");
        fs::create_dir(&directory).unwrap();
        symlink(binary(), directory.join("outbox-relay")).unwrap();
        for (name, class) in TOOLS {
            script(&directory.join(name), &kafka.tool(class).unwrap());
        }
        Self { directory, admin: ports::free().unwrap() }
    }

    /// Gives commands to a shell that stops at the first that fails.
    fn start(&self, commands: &str, log: &str) -> Process {
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", commands])
            .env("PATH", format!("{}:{path}", self.directory.display()))
            .env("ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin));
        Process::spawn("the quick start", shell, &self.directory.join(log), Signal::SIGKILL)
            .unwrap()
    }

    /// Gives commands that end, and answers what they print.
    async fn run(&self, commands: &str, log: &str) -> String {
        let process = self.start(commands, log);
        let status = process.ended(PATIENCE).await.unwrap();
        let said = fs::read_to_string(process.log()).unwrap();
        assert!(status.success(), "{said}");
        said
    }
}

/// Writes what starts `tool` with further arguments.
fn script(path: &Path, tool: &Command) {
    let words = std::iter::once(tool.get_program()).chain(tool.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    fs::write(path, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
