//! Further properties of librdkafka: any but those that have an option of their own, and those that the relay's promises rest on.

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use secrecy::SecretString;

/// What has an option of its own, and which.
const OPTIONS: [(&str, &str); 14] = [
    ("bootstrap.servers", "--kafka-brokers"),
    ("metadata.broker.list", "--kafka-brokers"),
    ("security.protocol", "--kafka-security-protocol"),
    ("sasl.mechanism", "--kafka-sasl-mechanism"),
    ("sasl.mechanisms", "--kafka-sasl-mechanism"),
    ("sasl.username", "--kafka-username"),
    ("sasl.password", "--kafka-password-file"),
    ("ssl.ca.location", "--kafka-ca-location"),
    ("ssl.ca.pem", "--kafka-ca-location"),
    ("ssl.certificate.location", "--kafka-certificate"),
    ("ssl.certificate.pem", "--kafka-certificate"),
    ("ssl.key.location", "--kafka-key"),
    ("ssl.key.pem", "--kafka-key"),
    ("ssl.endpoint.identification.algorithm", "--kafka-verify-hostname"),
];

/// What order, completeness, exactly-once and bounded memory rest on.
const OURS: [&str; 42] = [
    "acks",
    "request.required.acks",
    "request.timeout.ms",
    "enable.idempotence",
    "enable.gapless.guarantee",
    "transactional.id",
    "transaction.timeout.ms",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
    "partitioner",
    "delivery.report.only.error",
    "dr_cb",
    "dr_msg_cb",
    "message.max.bytes",
    "message.copy.max.bytes",
    "batch.size",
    "batch.num.messages",
    "linger.ms",
    "queue.buffering.max.ms",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "topic.metadata.propagation.max.ms",
    "allow.auto.create.topics",
    "reconnect.backoff.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "enable.auto.commit",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "offset.store.method",
    "isolation.level",
    "enable.partition.eof",
    "check.crcs",
    "queued.max.messages.kbytes",
    "plugin.library.paths",
];

/// A property that may be set. Its value may be a secret.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: SecretString,
}

/// Takes KEY=VALUE if librdkafka knows it and it is the operator's to set.
pub(super) fn parse_property(text: &str) -> Result<Property, String> {
    let (key, value) = text.split_once('=').ok_or("it is not KEY=VALUE")?;
    let key = key.trim();
    if let Some((_, option)) = OPTIONS.iter().find(|(name, _)| *name == key) {
        return Err(format!("{key} has an option of its own, {option}"));
    }
    if OURS.contains(&key) {
        return Err(format!("{key} is not to be changed: what the relay promises rests on it"));
    }
    let tried = ClientConfig::new().set(key, value).create_native_config();
    match tried {
        Ok(_) => Ok(Property { key: key.to_owned(), value: value.into() }),
        Err(KafkaError::ClientConfig(_, said, ..)) => Err(said),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn what_the_promises_rest_on_and_what_has_an_option_is_refused() {
        for key in OURS.iter().chain(OPTIONS.iter().map(|(key, _)| key)) {
            let refused = parse_property(&format!("{key}=1")).unwrap_err();
            assert!(refused.contains(key), "{refused}");
        }
    }

    #[test]
    fn other_properties_are_taken_if_librdkafka_knows_them() {
        let property = parse_property("socket.keepalive.enable=true").unwrap();
        assert_eq!(
            (&*property.key, property.value.expose_secret()),
            ("socket.keepalive.enable", "true")
        );
        assert_eq!(parse_property("compression.codec=snappy").unwrap().key, "compression.codec");
        for wrong in ["nonsense", "no.such=1", "socket.keepalive.enable=perhaps"] {
            assert!(parse_property(wrong).is_err(), "{wrong}");
        }
    }
}
