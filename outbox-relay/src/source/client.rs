//! What Kafka's client library reports, in this program's log.
//!
//! While a broker is not reached it reports that many times a second. Its own log lines say the same, and it bounds their
//! number, so those reports are for debugging only.

use rdkafka::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The context of a client of which nothing but the log is wanted.
pub(crate) struct ClientLog;

impl ClientContext for ClientLog {
    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

impl ConsumerContext for ClientLog {}

/// Passes a report on.
pub(crate) fn report(error: &KafkaError, reason: &str) {
    let is_unreachable = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
        )
    );
    if is_unreachable {
        tracing::debug!(error = %error, "kafka: {reason}");
    } else {
        tracing::warn!(error = %error, "kafka: {reason}");
    }
}
