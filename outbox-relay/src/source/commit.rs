//! Committing a Kafka transaction by librdkafka's own function.
//!
//! rdkafka's `commit_transaction` flushes first, and its flush takes a tenth of a second at least. The function below it flushes too,
//! and returns as soon as it can: a thread of the producer serves its events meanwhile.
#![allow(unsafe_code, reason = "rdkafka offers this function only together with its slow flush")]

use std::ffi::CStr;
use std::time::{Duration, Instant};

use rdkafka::bindings;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// Commits the open transaction, trying again what may be tried again until `patience` is over. Blocks.
///
/// # Errors
/// What librdkafka says. Whether the transaction is committed is not known then.
pub(crate) fn commit<C: ProducerContext + 'static>(
    producer: &BaseProducer<C>,
    patience: Duration,
) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        match try_commit(producer, left) {
            Ok(()) => return Ok(()),
            Err(failure) if failure.may_be_repeated && !left.is_zero() => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(failure) => return Err(failure.reason),
        }
    }
}

struct Failure {
    may_be_repeated: bool,
    reason: String,
}

fn try_commit<C: ProducerContext + 'static>(
    producer: &BaseProducer<C>,
    patience: Duration,
) -> Result<(), Failure> {
    let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives as long as `producer`; the error is ours to read once and to destroy.
    unsafe {
        let error =
            bindings::rd_kafka_commit_transaction(producer.client().native_ptr(), milliseconds);
        if error.is_null() {
            return Ok(());
        }
        let failure = Failure {
            may_be_repeated: bindings::rd_kafka_error_is_retriable(error) != 0,
            reason: CStr::from_ptr(bindings::rd_kafka_error_string(error))
                .to_string_lossy()
                .into_owned(),
        };
        bindings::rd_kafka_error_destroy(error);
        Err(failure)
    }
}
