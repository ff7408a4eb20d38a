//! What Kafka authorises this client to do with a topic, which it tells whoever may describe it. Asking writes nothing.
//! Who may use a transactional id it tells nobody: that shows when an exactly-once relay starts.

#![allow(
    unsafe_code,
    reason = "the library's safe interface does not ask for authorised operations"
)]

use std::ffi::CString;
use std::fmt::{self, Display};
use std::slice;

use rdkafka::admin::AdminClient;
use rdkafka::bindings as raw;
use rdkafka::client::DefaultClientContext;

/// How long Kafka may take to answer.
const TIMEOUT_MS: i32 = 10_000;

/// What may be done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reading records.
    Read,
    /// Producing records.
    Write,
}

impl Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
        })
    }
}

/// What may be done with `topic`; nothing if Kafka does not tell. Blocks.
pub(crate) fn operations(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> Option<Vec<Operation>> {
    let name = CString::new(topic).ok()?;
    let client = admin.inner().native_ptr();
    // SAFETY: `client` outlives this call. What is created here is destroyed here, once, and after what was made of it; the
    // description lives as long as the event it came with. Each of these functions takes the pointers that the one before gave.
    unsafe {
        let options = raw::rd_kafka_AdminOptions_new(
            client,
            raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        // An error, which it would own, comes only of options for another operation.
        raw::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        let mut names = [name.as_ptr()];
        let topics = raw::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = raw::rd_kafka_queue_new(client);
        raw::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = raw::rd_kafka_queue_poll(queue, TIMEOUT_MS);
        let allowed = if event.is_null() { None } else { read(event) };
        if !event.is_null() {
            raw::rd_kafka_event_destroy(event);
        }
        raw::rd_kafka_queue_destroy(queue);
        raw::rd_kafka_TopicCollection_destroy(topics);
        raw::rd_kafka_AdminOptions_destroy(options);
        allowed
    }
}

/// The operations that the answer tells of its only topic.
///
/// # Safety
/// `event` must be a live event.
unsafe fn read(event: *mut raw::rd_kafka_event_t) -> Option<Vec<Operation>> {
    // SAFETY: an event of another kind, or with an error, has no such result or no topics; the count says how many operations
    // there are. They are read as numbers, since a library newer than the bindings might know more of them.
    unsafe {
        let result = raw::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let topics = raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return None;
        }
        let mut count = 0;
        let operations =
            raw::rd_kafka_TopicDescription_authorized_operations(*topics, &raw mut count);
        if operations.is_null() {
            return None;
        }
        Some(
            slice::from_raw_parts(operations.cast::<u32>(), count)
                .iter()
                .filter_map(known)
                .collect(),
        )
    }
}

fn known(code: &u32) -> Option<Operation> {
    use raw::rd_kafka_AclOperation_t as Code;
    match *code {
        read if read == Code::RD_KAFKA_ACL_OPERATION_READ as u32 => Some(Operation::Read),
        write if write == Code::RD_KAFKA_ACL_OPERATION_WRITE as u32 => Some(Operation::Write),
        _ => None,
    }
}
