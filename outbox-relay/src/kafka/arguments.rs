//! The command line's part of reaching Kafka, one argument at a time.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, ValueEnum};
use secrecy::SecretString;

/// How a broker is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Protocol {
    /// In the clear, as nobody.
    Plaintext,
    /// Over TLS, as nobody or as whom the client certificate names.
    Ssl,
    /// In the clear, with a name and a password.
    SaslPlaintext,
    /// Over TLS, with a name and a password.
    SaslSsl,
}

impl Protocol {
    /// As librdkafka calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    pub(super) fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    pub(super) fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a password is shown to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mechanism {
    /// As it is.
    #[value(name = "PLAIN")]
    Plain,
    /// By a proof that both know it.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// By a proof that both know it.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// As librdkafka calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The arguments as they were given.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// The Kafka brokers, HOST:PORT separated by commas.
    #[arg(id = "kafka-brokers", long, env = "KAFKA_BROKERS", value_name = "HOST:PORT,…", value_parser = NonEmptyStringValueParser::new())]
    pub(super) brokers: String,
    /// Whether Kafka is reached over TLS, and with a password.
    #[arg(
        id = "kafka-security-protocol",
        long,
        env = "KAFKA_SECURITY_PROTOCOL",
        value_name = "PROTOCOL",
        default_value = "plaintext",
        ignore_case = true
    )]
    pub(super) protocol: Protocol,
    /// How the password is shown to Kafka.
    #[arg(
        id = "kafka-sasl-mechanism",
        long,
        env = "KAFKA_SASL_MECHANISM",
        value_name = "MECHANISM",
        ignore_case = true
    )]
    pub(super) mechanism: Option<Mechanism>,
    /// The user, as Kafka knows it.
    #[arg(id = "kafka-username", long, env = "KAFKA_USERNAME", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) username: Option<String>,
    /// The user's password. A file, or the variable, is seen by fewer.
    #[arg(
        id = "kafka-password",
        long,
        env = "KAFKA_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub(super) password: Option<SecretString>,
    /// A file whose first line is the user's password.
    #[arg(id = "kafka-password-file", long, env = "KAFKA_PASSWORD_FILE", value_name = "PATH")]
    pub(super) password_file: Option<PathBuf>,
    /// The certificates (PEM) of the authorities that may vouch for brokers; the system's if not given.
    #[arg(id = "kafka-ca-location", long, env = "KAFKA_CA_LOCATION", value_name = "PATH")]
    pub(super) ca_location: Option<String>,
    /// The client's certificate (PEM), where Kafka wants one.
    #[arg(id = "kafka-certificate", long, env = "KAFKA_CERTIFICATE", value_name = "PATH")]
    pub(super) certificate: Option<String>,
    /// The key (PEM) of the client's certificate.
    #[arg(id = "kafka-key", long, env = "KAFKA_KEY", value_name = "PATH")]
    pub(super) key: Option<String>,
    /// Whether a broker's certificate must be for the host that was asked for.
    #[arg(id = "kafka-verify-hostname", long, env = "KAFKA_VERIFY_HOSTNAME", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(super) verify_hostname: bool,
    /// A further property of librdkafka, as in its CONFIGURATION.md. May be given several times; the variable takes them separated by
    /// semicolons.
    #[arg(
        id = "kafka-property",
        long,
        env = "KAFKA_PROPERTIES",
        hide_env_values = true,
        value_name = "KEY=VALUE",
        value_delimiter = ';'
    )]
    pub(super) properties: Vec<SecretString>,
}
