//! What Kafka's client library says, in this program's log.
//!
//! While no broker is reached it reports that many times a second. Its own log lines say the same, and it bounds their
//! number, so those reports are for debugging only.

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::{debug, info, warn};

/// The context of a client of which nothing but the log is wanted.
pub(crate) struct ClientLog;

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

/// Passes a log line on. An error of the client is a warning here: it tries again by itself.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => warn!(facility, "kafka client: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            info!(facility, "kafka client: {message}");
        }
        RDKafkaLogLevel::Debug => debug!(facility, "kafka client: {message}"),
    }
}

/// Passes an error report on.
pub(crate) fn report(error: &KafkaError, reason: &str) {
    if is_unreachable(error) {
        debug!(%error, reason, "kafka client failed");
    } else {
        warn!(%error, reason, "kafka client failed");
    }
}

/// Whether an error only says that a broker is not reached.
pub(crate) fn is_unreachable(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
        )
    )
}
