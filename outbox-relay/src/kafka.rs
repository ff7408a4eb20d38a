//! How Kafka is reached: one set of options for every command and client.

use clap::{Args, builder::NonEmptyStringValueParser};
use rdkafka::config::ClientConfig;

/// How Kafka is reached.
#[derive(Clone, Debug, Args)]
pub struct KafkaOptions {
    /// The Kafka brokers, HOST:PORT separated by commas.
    #[arg(long = "kafka-brokers", env = "KAFKA_BROKERS", value_parser = NonEmptyStringValueParser::new())]
    pub brokers: String,
}

impl KafkaOptions {
    /// What every client is configured with; the caller adds what it needs of its own.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "outbox-relay");
        config
    }
}
