//! How far back a topic can be asked: what it has deleted proves nothing.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use time::OffsetDateTime;

use crate::kafka::KafkaOptions;
use crate::operator::topics::Span;

/// How long Kafka may take to tell a topic's settings.
const ANSWER: Duration = Duration::from_secs(10);

/// What a topic does with old records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// It keeps only the last record of a key.
    pub(crate) compacted: bool,
    /// How long it keeps a record at least; `None` if that is not known.
    pub(crate) retention_ms: Option<i64>,
}

/// The policies of `topics`; where they may not be read, nothing is known of them.
pub(crate) async fn policies(kafka: &KafkaOptions, topics: &[String]) -> HashMap<String, Policy> {
    let asked: Vec<ResourceSpecifier<'_>> =
        topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let client: Result<AdminClient<DefaultClientContext>, _> = kafka.client().create();
    let Ok(client) = client else { return HashMap::new() };
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let Ok(answers) = client.describe_configs(&asked, &options).await else {
        return HashMap::new();
    };
    let known = answers.into_iter().flatten().filter_map(|settings| {
        let OwnedResourceSpecifier::Topic(topic) = &settings.specifier else { return None };
        let value = |name| settings.get(name).and_then(|entry| entry.value.as_deref());
        let retention_ms = value("retention.ms").and_then(|value| value.parse().ok());
        let policy = Policy {
            compacted: value("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
            retention_ms: retention_ms.filter(|retention: &i64| *retention >= 0),
        };
        Some((topic.clone(), policy))
    });
    known.collect()
}

/// Up to when (milliseconds since 1970) records may have been deleted; `None` if none was. `oldest` is the time of the oldest record
/// of each partition that still has one.
pub(crate) fn horizon(
    policy: Policy,
    spans: &[Span],
    oldest: &HashMap<i32, i64>,
    now_ms: i64,
) -> Option<i64> {
    if policy.compacted {
        return Some(i64::MAX);
    }
    let cut = spans.iter().filter(|span| span.first > 0);
    cut.map(|span| match (oldest.get(&span.partition), policy.retention_ms) {
        (Some(oldest), _) => *oldest,
        (None, Some(retention)) => now_ms.saturating_sub(retention),
        (None, None) => i64::MAX,
    })
    .max()
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(partition: i32, first: i64) -> Span {
        Span { partition, first, end: 100 }
    }

    #[test]
    fn what_a_topic_may_have_deleted_is_told_by_its_oldest_records() {
        let policy = Policy { compacted: false, retention_ms: Some(50) };
        let oldest = HashMap::from([(0, 10), (1, 30)]);
        let horizon = |policy, spans: &[Span]| horizon(policy, spans, &oldest, 1_000);
        assert_eq!(horizon(policy, &[span(0, 0), span(1, 0)]), None, "all of it is there");
        assert_eq!(horizon(policy, &[span(0, 5), span(1, 0)]), Some(10));
        assert_eq!(horizon(policy, &[span(0, 5), span(1, 5)]), Some(30));
        assert_eq!(horizon(policy, &[span(0, 5), span(2, 5)]), Some(950), "an empty partition");
        assert_eq!(horizon(Policy::default(), &[span(2, 5)]), Some(i64::MAX));
        assert_eq!(horizon(Policy { compacted: true, ..policy }, &[span(0, 0)]), Some(i64::MAX));
    }
}
