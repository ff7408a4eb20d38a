//! What goes wrong with TLS towards Kafka, or with the want of it.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::fault::Fault;

impl Fault {
    /// What a report says of TLS, if it does: `code` and `reason` with all that the client adds to it, `said` without.
    pub(super) fn of_kafka_tls(
        code: Code,
        reason: &str,
        said: &str,
        brokers: &str,
    ) -> Option<Self> {
        // A broker says what it thinks of the client's certificate after the handshake.
        if reason.contains("alert") && reason.contains("certificate") {
            return Some(Self::new(
                format!("Kafka at {brokers} wants a client certificate that it trusts ({said})"),
                "give one by --kafka-certificate (KAFKA_CERTIFICATE) and --kafka-key (KAFKA_KEY)",
            ));
        }
        // The first thing that a client asks, and at which a server hangs up that expects TLS.
        if code == Code::BrokerTransportFailure && reason.contains("APIVERSION_QUERY") {
            return Some(Self::new(
                format!("Kafka at {brokers} hangs up at the first question ({said})"),
                "correct --kafka-security-protocol (KAFKA_SECURITY_PROTOCOL), for it may want TLS or a password",
            ));
        }
        let cure = if reason.contains("certificate") {
            "name the broker's authority by --kafka-ca-location (KAFKA_CA_LOCATION), and the broker in --kafka-brokers by a host of \
             its certificate"
        } else {
            "correct --kafka-security-protocol (KAFKA_SECURITY_PROTOCOL), for it may not offer TLS"
        };
        let cause = format!("Kafka at {brokers} and this process do not agree on TLS ({said})");
        // The same failure comes as an error, as a line of the log, and as OpenSSL's own words.
        let is_of_tls = code == Code::SSL
            || reason.contains("SSL handshake failed")
            || reason.contains("in state SSL_HANDSHAKE")
            || reason.contains("SSL routines");
        is_of_tls.then(|| Self::new(cause, cure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_own_cure() {
        let cases = [
            (Code::SSL, "SSL handshake failed: certificate verify failed", "--kafka-ca-location"),
            (Code::SSL, "SSL handshake failed: wrong version number", "--kafka-security-protocol"),
            (
                Code::BrokerTransportFailure,
                "Disconnected: SSL connection closed by peer (after 0ms in state SSL_HANDSHAKE)",
                "--kafka-security-protocol",
            ),
            (
                Code::BrokerTransportFailure,
                "error:0A000086:SSL routines::certificate verify failed",
                "--kafka-ca-location",
            ),
            (
                Code::BrokerTransportFailure,
                "Receive failed: alert bad certificate",
                "--kafka-certificate",
            ),
            (
                Code::BrokerTransportFailure,
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                "--kafka-security-protocol",
            ),
            (
                Code::BrokerTransportFailure,
                "Disconnected (after 0ms in state APIVERSION_QUERY)",
                "--kafka-security-protocol",
            ),
        ];
        for (code, reason, cure) in cases {
            let fault = Fault::of_kafka_tls(code, reason, reason, "kafka:9092").unwrap();
            assert!(fault.cure.contains(cure), "{fault}");
        }
        let refused = "Connect failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(Fault::of_kafka_tls(Code::BrokerTransportFailure, refused, refused, "k"), None);
    }
}
