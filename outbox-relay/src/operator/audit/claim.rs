//! What the progress of a source claims, and what is therefore expected on the topics.

use crate::blocking::blocking;
use crate::core::gaps::Run;
use crate::core::ledger::Reached;
use crate::core::parked::Parked;
use crate::core::progress::{Identity, Progress, Records};
use crate::fault::Fault;
use crate::operator::arguments::ProgressArgs;
use crate::operator::audit::missing::Expected;
use crate::operator::rows::{self, Rows};
use crate::operator::standing::{self, Standing};
use crate::source::identity;
use crate::source::progress_topic;
use crate::sources::SourceAddress;

/// What the progress claims, and whether that fits the table.
pub(crate) struct Claim {
    /// Which table it is.
    pub(crate) identity: Identity,
    /// The progress records as they stand on Kafka.
    pub(crate) records: Records,
    /// How far the source has come, if they fit the table.
    pub(crate) standing: Standing,
    /// What they say, though it does not fit, if they are of the same epoch: the numbers mean the same rows.
    former: Option<Reached>,
}

impl Claim {
    /// Reads the progress, then which table it is.
    pub(crate) async fn read(
        rows: &mut Rows,
        args: &ProgressArgs,
        source: &SourceAddress,
    ) -> Result<Self, Fault> {
        let (kafka, topic, name) =
            (args.kafka.clone(), args.progress_topic.clone(), source.name.clone());
        let (records, recorded) = blocking(move || {
            let failed = |error| Fault::of_progress(&error, &kafka.brokers);
            let records = progress_topic::read(&kafka, &topic, &name).map_err(failed)?;
            let recorded =
                Progress::decode(&name, &records).map_err(|error| failed(error.into()))?;
            Ok((records, recorded))
        })
        .await?;
        let standing = standing::judge(rows.connection(), recorded.clone()).await?;
        let found = identity::read(rows.connection()).await;
        let found = found.map_err(|error| Fault::of_database(&error))?;
        let (identity, _) = found.ok_or_else(|| {
            Fault::new(
                "messaging.outbox_epoch has no row",
                "run `outbox-relay init` on this database",
            )
        })?;
        let former = recorded
            .filter(|recorded| recorded.identity.epoch == identity.epoch)
            .map(|recorded| recorded.reached);
        Ok(Self { identity, records, standing, former })
    }

    /// Why table and progress do not fit together, if they do not.
    pub(crate) fn discontinuity(&self) -> Option<String> {
        self.standing.discontinuity.as_ref().map(ToString::to_string)
    }

    /// What is expected on the topics: what the progress calls published; all that is visible, if it does not fit the table.
    pub(crate) async fn expected(&self, rows: &mut Rows) -> Result<Expected, Fault> {
        if self.standing.discontinuity.is_none() {
            let Standing { position, parked, .. } = &self.standing;
            let published = Some(position.clone());
            return Ok(Expected { published, parked: parked.clone(), formerly: None });
        }
        let Some(former) = &self.former else {
            return Ok(Expected { published: None, parked: Parked::default(), formerly: None });
        };
        let parked = still_there(&former.parked, rows).await?;
        Ok(Expected { published: None, parked, formerly: Some(former.position.clone()) })
    }
}

/// Those parked keys whose first events are in this table.
async fn still_there(parked: &Parked, rows: &mut Rows) -> Result<Parked, Fault> {
    let mut firsts = rows::run(0, -1);
    for (_, _, key) in parked.iter() {
        firsts.insert(Run { first: key.first, last: key.first });
    }
    let mut there = Parked::default();
    while !firsts.is_empty() {
        for row in rows.page(&mut firsts).await? {
            let key = parked.get(&row.topic, &row.key);
            if let Some(key) = key.filter(|key| key.event_id == row.id) {
                there.park(&row.topic, &row.key, key.clone());
            }
        }
    }
    Ok(there)
}
