//! The command line and the environment: every flag is also a variable, `--help` is the reference.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use runtime::{
    fail_points::{FailPoint, road},
    grpc::GrpcOptions,
    postgres::PostgresOptions,
};

use crate::{provider::SimulatedProviderOptions, worker::WorkerOptions};

/// Payments: has the provider hold what an order costs, and charges it when the caller pays
#[derive(Debug, Parser)]
#[command(name = "payments", version)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves gRPC, handles events and calls the provider until told to stop
    Serve(Box<Config>),
    /// Creates or upgrades the schema
    Migrate(PostgresOptions),
    /// Creates the Kafka topics that payments writes, and its dead-letter topics
    Topics(KafkaOptions),
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
    /// Where to listen for gRPC
    #[arg(long, env = "GRPC_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    pub grpc_listen: SocketAddr,
    /// Where to listen for /metrics, /livez and /readyz
    #[arg(long, env = "ADMIN_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:9102")]
    pub admin_listen: SocketAddr,
    /// Writes the addresses that were bound to this file, as JSON
    #[arg(long, env = "ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,
    /// Settings of the consumer's Kafka client, KEY=VALUE, that win over its own; for tests.
    #[arg(long, env = "CONSUMER_SETTINGS", value_delimiter = ',', hide = true,
        value_parser = messaging::consumer_setting)]
    pub consumer_settings: Vec<(String, String)>,
    /// Where this process fails on purpose: NAME=ACTION[@HIT], for tests.
    #[arg(long, value_delimiter = ',', hide = true, value_parser = FailPoint::of(&road::PAYMENTS))]
    pub fail_points: Vec<FailPoint>,
    /// The limits of the gRPC server.
    #[command(flatten)]
    pub grpc: GrpcOptions,
    /// How the provider is called.
    #[command(flatten)]
    pub worker: WorkerOptions,
    /// How the provider behaves.
    #[command(flatten)]
    pub provider: SimulatedProviderOptions,
}
