//! Committing a Kafka transaction, and flushing, by librdkafka's own functions.
//!
//! rdkafka's flush takes a tenth of a second at least, and its `commit_transaction` begins with one. The functions below them
//! return as soon as they can: a thread of the producer serves its events meanwhile.
#![allow(unsafe_code, reason = "rdkafka offers these functions only as its own slow flush")]

use std::ffi::CStr;
use std::time::{Duration, Instant};

use rdkafka::bindings;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

/// Waits until all that the producer was given has arrived or failed, at most `patience`. Nothing lingers meanwhile. Blocks.
pub(crate) fn flush<C: ProducerContext + 'static>(producer: &BaseProducer<C>, patience: Duration) {
    // SAFETY: the client lives as long as `producer`.
    unsafe { bindings::rd_kafka_flush(producer.client().native_ptr(), milliseconds(patience)) };
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

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
    // SAFETY: the client lives as long as `producer`; the error is ours to read once and to destroy.
    unsafe {
        let client = producer.client().native_ptr();
        let error = bindings::rd_kafka_commit_transaction(client, milliseconds(patience));
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
