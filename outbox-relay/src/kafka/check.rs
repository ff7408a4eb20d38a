//! Whether the arguments for Kafka fit each other. Everything that is wrong is told at once.

use std::fs::{self, File};
use std::path::Path;

use rdkafka::producer::BaseProducer;
use secrecy::{ExposeSecret, SecretString};

use crate::kafka::KafkaOptions;
use crate::kafka::arguments::{Arguments, Protocol};
use crate::kafka::property::{Property, parse_property};

/// The options that these arguments are, or all that is wrong with them.
pub(super) fn options(arguments: Arguments) -> Result<KafkaOptions, Vec<String>> {
    let mut wrong = Vec::new();
    combination(&arguments, &mut wrong);
    for (option, path) in [
        ("KAFKA_CA_LOCATION (--kafka-ca-location)", &arguments.ca_location),
        ("KAFKA_CERTIFICATE (--kafka-certificate)", &arguments.certificate),
        ("KAFKA_KEY (--kafka-key)", &arguments.key),
    ] {
        let problem = path.as_deref().and_then(|path| unreadable(Path::new(path)));
        wrong.extend(problem.map(|problem| format!("wrong value of {option}: {problem}")));
    }
    let properties: Vec<Property> = arguments
        .properties
        .iter()
        .filter_map(|text| {
            let parsed = parse_property(text.expose_secret()).map_err(|problem| {
                format!("wrong value of KAFKA_PROPERTIES (--kafka-property): {problem}")
            });
            parsed.map_err(|problem| wrong.push(problem)).ok()
        })
        .collect();
    let password = password(&arguments).unwrap_or_else(|problem| {
        wrong.push(problem);
        None
    });
    let options =
        KafkaOptions { brokers: arguments.brokers.clone(), arguments, properties, password };
    if wrong.is_empty() && options.arguments.protocol != Protocol::Plaintext {
        wrong.extend(unusable(&options));
    }
    if wrong.is_empty() { Ok(options) } else { Err(wrong) }
}

fn combination(arguments: &Arguments, wrong: &mut Vec<String>) {
    let protocol = arguments.protocol;
    let has_password = arguments.password.is_some() || arguments.password_file.is_some();
    let of_sasl = [
        ("KAFKA_SASL_MECHANISM (--kafka-sasl-mechanism)", arguments.mechanism.is_some()),
        ("KAFKA_USERNAME (--kafka-username)", arguments.username.is_some()),
        ("KAFKA_PASSWORD_FILE (--kafka-password-file) or KAFKA_PASSWORD", has_password),
    ];
    let of_tls = [
        ("KAFKA_CA_LOCATION (--kafka-ca-location)", arguments.ca_location.is_some()),
        ("KAFKA_CERTIFICATE (--kafka-certificate)", arguments.certificate.is_some()),
        ("KAFKA_KEY (--kafka-key)", arguments.key.is_some()),
        ("KAFKA_VERIFY_HOSTNAME (--kafka-verify-hostname)", !arguments.verify_hostname),
    ];
    let given = |options: &[(&'static str, bool)], wanted: bool| -> Vec<&'static str> {
        options.iter().filter(|(_, given)| *given == wanted).map(|(name, _)| *name).collect()
    };
    let chosen =
        format!("KAFKA_SECURITY_PROTOCOL (--kafka-security-protocol) is {}", protocol.name());
    if protocol.has_sasl() {
        wrong.extend(
            given(&of_sasl, false).iter().map(|name| format!("{name} is missing: {chosen}")),
        );
    } else {
        let idle = given(&of_sasl, true);
        wrong.extend(idle.iter().map(|name| {
            format!(
                "{name} is of no use: {chosen}, and would have to be sasl_ssl or sasl_plaintext"
            )
        }));
    }
    if !protocol.has_tls() {
        let idle = given(&of_tls, true);
        wrong.extend(idle.iter().map(|name| {
            format!("{name} is of no use: {chosen}, and would have to be ssl or sasl_ssl")
        }));
    }
    if arguments.certificate.is_some() != arguments.key.is_some() {
        wrong.push(
            "KAFKA_CERTIFICATE (--kafka-certificate) and KAFKA_KEY (--kafka-key) go together"
                .to_owned(),
        );
    }
}

/// The password, from where it is given.
fn password(arguments: &Arguments) -> Result<Option<SecretString>, String> {
    const OPTION: &str = "KAFKA_PASSWORD_FILE (--kafka-password-file)";
    let Some(path) = &arguments.password_file else { return Ok(arguments.password.clone()) };
    if arguments.password.is_some() {
        return Err(format!("{OPTION} and KAFKA_PASSWORD (--kafka-password) exclude each other"));
    }
    let text = fs::read_to_string(path).map_err(|error| {
        format!("wrong value of {OPTION}: {} cannot be read: {error}", path.display())
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Some(line.into())),
        Some(_) | None => Err(format!("wrong value of {OPTION}: {} is empty", path.display())),
    }
}

fn unreadable(path: &Path) -> Option<String> {
    let opened =
        if path.is_dir() { fs::read_dir(path).map(drop) } else { File::open(path).map(drop) };
    opened.err().map(|error| format!("{} cannot be read: {error}", path.display()))
}

/// Why librdkafka makes no client of them: certificates that are none, a key that is another's.
fn unusable(options: &KafkaOptions) -> Option<String> {
    let made = options.client().create::<BaseProducer>();
    made.err().map(|error| format!("the options for Kafka make no client: {error}"))
}
