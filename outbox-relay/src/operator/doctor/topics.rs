//! Whether the topics that rows are for can take them.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::fault::Fault;
use crate::finding::Finding;
use crate::operator::doctor::authorised::Operation;
use crate::operator::doctor::kafka::Cluster;
use crate::operator::standing::Standing;

const CHECK: &str = "topic";

/// So many rows on each side of the head tell which topics there are.
const ROWS: i64 = 10_000;

/// A topic that rows are for.
struct Topic {
    name: String,
    /// The size of the largest row that waits, and its event.
    largest: Option<i64>,
    event_id: Option<Uuid>,
}

/// Checks each topic that recent rows are for.
pub(crate) async fn check(
    connection: &mut PgConnection,
    cluster: &Cluster,
    standing: &Standing,
) -> Result<Vec<Finding>, Fault> {
    let head = standing.position.head();
    let topics = sqlx::query_file_as!(Topic, "sql/read_topics.sql", head, ROWS)
        .fetch_all(connection)
        .await
        .map_err(|error| Fault::of_database(&error))?;
    let mut findings = Vec::new();
    for topic in &topics {
        findings.push(match trouble(cluster, topic).await? {
            Some(fault) => Finding::fault(CHECK, fault),
            None => Finding::ok(CHECK, format!("{} takes what is for it", topic.name)),
        });
    }
    Ok(findings)
}

async fn trouble(cluster: &Cluster, topic: &Topic) -> Result<Option<Fault>, Fault> {
    let name = topic.name.as_str();
    if let Err(fault) = cluster.partitions(name) {
        return Ok(Some(fault));
    }
    if let Some(fault) = cluster.refused(name, &[Operation::Write]).await {
        return Ok(Some(fault));
    }
    let limit = cluster.setting(name, "max.message.bytes").await?;
    let limit = limit.and_then(|bytes| bytes.parse::<i64>().ok());
    Ok(match (limit, topic.largest, topic.event_id) {
        (Some(limit), Some(largest), Some(event_id)) if largest > limit => Some(Fault::new(
            format!(
                "event {event_id} of about {largest} bytes waits, and topic {name} takes {limit}"
            ),
            format!(
                "kafka-configs.sh --alter --topic {name} --add-config max.message.bytes=…, before its key is parked"
            ),
        )),
        (_, _, _) => None,
    })
}
