//! The command line and the environment: every flag is also a variable, `--help` is the reference.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use proto::Currency;
use runtime::{
    fail_points::{FailPoint, road},
    grpc::GrpcOptions,
    postgres::PostgresOptions,
};

pub use crate::sweeper::SweeperOptions;

/// Keeps orders, stock, products and users
#[derive(Debug, Parser)]
#[command(name = "store-manager", version)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves gRPC and handles events until told to stop
    Serve(Box<Config>),
    /// Creates or upgrades the schema and loads the seed data
    Migrate(MigrateOptions),
    /// Creates the Kafka topics that store-manager writes, and its dead-letter topics
    Topics(KafkaOptions),
}

/// What `migrate` needs.
#[derive(Clone, Debug, Args)]
pub struct MigrateOptions {
    /// The database.
    #[command(flatten)]
    pub postgres: PostgresOptions,
    /// The store.
    #[command(flatten)]
    pub store: StoreOptions,
}

/// What the store is like.
#[derive(Clone, Debug, Args)]
pub struct StoreOptions {
    /// The ISO 4217 currency in which everything is sold
    #[arg(long, env = "STORE_CURRENCY", value_name = "CODE", default_value = "CAD")]
    pub store_currency: Currency,
}

/// How to reach Kafka.
#[derive(Clone, Debug, Args)]
pub struct KafkaOptions {
    /// Kafka's bootstrap servers, HOST:PORT separated by commas
    #[arg(
        long,
        env = "KAFKA_BROKERS",
        value_name = "BROKERS",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub kafka_brokers: String,
}

/// Everything `serve` needs.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// The database.
    #[command(flatten)]
    pub postgres: PostgresOptions,
    /// Where the events are.
    #[command(flatten)]
    pub kafka: KafkaOptions,
    /// The store.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Where to listen for gRPC
    #[arg(long, env = "GRPC_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub grpc_listen: SocketAddr,
    /// Where to listen for /metrics, /livez and /readyz
    #[arg(long, env = "ADMIN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:9101")]
    pub admin_listen: SocketAddr,
    /// Writes the addresses that were bound to this file, as JSON
    #[arg(long, env = "ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,
    /// Settings of the consumer's Kafka client, KEY=VALUE, that win over its own; for tests.
    #[arg(long, env = "CONSUMER_SETTINGS", value_delimiter = ',', hide = true,
        value_parser = messaging::consumer_setting)]
    pub consumer_settings: Vec<(String, String)>,
    /// Where this process fails on purpose: NAME=ACTION[@HIT], for tests.
    #[arg(long, value_delimiter = ',', hide = true, value_parser = FailPoint::of(&road::STORE_MANAGER))]
    pub fail_points: Vec<FailPoint>,
    /// The limits of the gRPC server.
    #[command(flatten)]
    pub grpc: GrpcOptions,
    /// When a saga counts as stuck.
    #[command(flatten)]
    pub sweeper: SweeperOptions,
}
