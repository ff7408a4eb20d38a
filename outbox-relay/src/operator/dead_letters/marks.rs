//! Which dead letters were redriven: a record each on the progress topic, until the letter itself is gone.

use std::collections::BTreeMap;

use crate::fault::Fault;
use crate::operator::arguments::ProgressArgs;
use crate::source::progress_topic;

/// Where these records are among the others: no source's name begins so.
const NAMESPACE: &str = "~dead-letters";

/// Partition and offset of each redriven letter of a topic, and when it was redriven.
pub(crate) type Marks = BTreeMap<(i32, i64), String>;

/// The key of a letter's record.
pub(crate) fn key(topic: &str, partition: i32, offset: i64) -> String {
    format!("{NAMESPACE}/{topic}/{partition}/{offset}")
}

/// The marks of `topic`. Blocks.
pub(crate) fn read(args: &ProgressArgs, topic: &str) -> Result<Marks, Fault> {
    let of_topic = format!("{NAMESPACE}/{topic}");
    let records = progress_topic::read(&args.kafka, &args.progress_topic, &of_topic)
        .map_err(|error| Fault::of_progress(&error, &args.kafka.brokers))?;
    let marks = records.iter().filter_map(|(key, value)| {
        let place = std::str::from_utf8(key).ok()?.strip_prefix(&of_topic)?.strip_prefix('/')?;
        let (partition, offset) = place.split_once('/')?;
        let at = String::from_utf8_lossy(value).into_owned();
        Some(((partition.parse().ok()?, offset.parse().ok()?), at))
    });
    Ok(marks.collect())
}
