//! How Kafka is reached: one set of options for every command and client.

mod arguments;
mod check;
mod property;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use rdkafka::config::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::kafka::arguments::{Arguments, Mechanism};
use crate::kafka::property::Property;

/// How Kafka is reached: arguments that fit each other, and make a client.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// The Kafka brokers, `HOST:PORT` separated by commas.
    pub brokers: String,
    arguments: Arguments,
    properties: Vec<Property>,
    password: Option<SecretString>,
}

impl KafkaOptions {
    /// What every client is configured with; the caller adds what it needs of its own.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "outbox-relay");
        for property in &self.properties {
            config.set(&property.key, property.value.expose_secret());
        }
        config.set("bootstrap.servers", &self.brokers);
        self.secure(&mut config);
        config
    }

    fn secure(&self, config: &mut ClientConfig) {
        let arguments = &self.arguments;
        let mut set = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                config.set(key, value);
            }
        };
        set("security.protocol", Some(arguments.protocol.name()));
        set("sasl.mechanism", arguments.mechanism.map(Mechanism::name));
        set("sasl.username", arguments.username.as_deref());
        set("sasl.password", self.password.as_ref().map(ExposeSecret::expose_secret));
        set("ssl.ca.location", arguments.ca_location.as_deref());
        set("ssl.certificate.location", arguments.certificate.as_deref());
        set("ssl.key.location", arguments.key.as_deref());
        let identified = if arguments.verify_hostname { "https" } else { "none" };
        set("ssl.endpoint.identification.algorithm", Some(identified));
    }
}

/// Parsed as [`Arguments`], and refused where these do not fit each other, with everything that does not.
impl FromArgMatches for KafkaOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let arguments = Arguments::from_arg_matches(matches)?;
        check::options(arguments).map_err(|wrong| {
            let lines: Vec<String> = wrong.iter().map(|line| format!("  {line}")).collect();
            let text = format!("wrong configuration\n{}\n", lines.join("\n"));
            clap::Error::raw(ErrorKind::ValueValidation, text)
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for KafkaOptions {
    fn augment_args(command: Command) -> Command {
        Arguments::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Arguments::augment_args_for_update(command)
    }
}
