//! `docker-compose.yml` and what it mounts, held against the programs: what they ask for is given, under the names and on the
//! ports that their `--help` tells.

mod debezium;
mod files;
mod help;
mod kafka_ui;

use std::fs;

use lab::processes;

use files::{Compose, Container, root};
use help::Help;

const LISTENERS: [&str; 2] = ["GRPC_LISTEN", "ADMIN_LISTEN"];

#[tokio::test]
async fn every_variable_is_one_that_the_program_knows_and_none_it_needs_is_missing() {
    let binaries = processes::build().await.unwrap();
    for (name, container) in Compose::read().programs() {
        let help = Help::of(binaries, &container.command);
        for variable in container.environment.keys() {
            assert!(help.knows(variable), "{name} sets {variable}: {help}");
        }
        for variable in help.required() {
            assert!(container.environment.contains_key(&variable), "{name} lacks {variable}");
        }
    }
}

#[tokio::test]
async fn every_program_listens_on_its_own_ports_and_they_are_published_on_loopback() {
    let binaries = processes::build().await.unwrap();
    let mut published = 0;
    for (name, container) in Compose::read().programs() {
        let help = Help::of(binaries, &container.command);
        let mut ports = Vec::new();
        for variable in LISTENERS.into_iter().filter(|variable| help.knows(variable)) {
            let default = help.default_of(variable).unwrap();
            let port = default.strip_prefix("127.0.0.1:").unwrap();
            assert_eq!(container.environment[variable], format!("0.0.0.0:{port}"), "{name}");
            ports.push(format!("127.0.0.1:{port}:{port}"));
        }
        assert_eq!(container.ports, ports, "{name}");
        published += ports.len();
    }
    assert_eq!(
        published, 5,
        "two services with gRPC and an admin port, the relay with an admin port"
    );
}

#[test]
fn nothing_is_published_beyond_loopback_and_no_image_names_a_registry() {
    for (name, container) in Compose::read().services {
        for port in &container.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        let (first, _) = container.image.split_once('/').unwrap_or_default();
        assert!(!first.contains(['.', ':']), "{name} comes from {}", container.image);
    }
}

#[test]
fn every_program_that_serves_waits_for_every_step() {
    let compose = Compose::read();
    let (serving, steps): (Vec<_>, Vec<_>) =
        compose.programs().partition(|(_, container)| !container.ports.is_empty());
    assert_eq!((serving.len(), steps.len()), (3, 5));
    for (name, container) in serving {
        for (step, _) in &steps {
            let condition = container.depends_on[*step].condition.as_str();
            assert_eq!(condition, "service_completed_successfully", "{name} waits for {step}");
        }
    }
}

#[test]
fn the_databases_that_are_made_are_those_that_are_used() {
    let compose = Compose::read();
    let made = fs::read_to_string(root().join("deploy/postgres/databases.sql")).unwrap();
    let mut sources = Vec::new();
    for service in ["store-manager", "payments"] {
        let name = service.replace('-', "_");
        let url = format!("postgres://{name}:{name}@postgres:5432/{name}");
        let database =
            |container: &str| compose.services[container].environment["DATABASE_URL"].clone();
        assert_eq!(database(service), url);
        assert_eq!(database(&format!("{service}-migrate")), url);
        assert!(made.contains(&format!("CREATE ROLE {name} LOGIN PASSWORD '{name}';")));
        assert!(made.contains(&format!("CREATE DATABASE {name} OWNER {name};")));
        sources.push(format!("{name}={url}"));
    }
    let relay: &Container = &compose.services["outbox-relay"];
    assert_eq!(relay.environment["RELAY_SOURCES"], sources.join(","));
}

#[test]
fn the_image_is_built_by_the_compiler_that_the_repository_names() {
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let (_, image) = dockerfile.split_once("FROM rust:").unwrap();
    let (version, _) = image.split_once('-').unwrap();
    assert!(toolchain.contains(&format!("channel = \"{version}.")), "the image has {version}");
}
