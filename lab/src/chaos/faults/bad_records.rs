//! Records that nobody can read are put on each topic, each for another reason, and its readers park them. All of them are marked as put
//! there on purpose.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture, try_join_all};
use rand::rngs::StdRng;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Fault, Lane, Struck, records};
use crate::{
    audit::{INJECTED, Owner},
    chaos::{ChaosError, World},
    tap::{From, TOPICS},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
struct BadRecords;

/// The one there is.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    vec![Arc::new(BadRecords)]
}

impl Fault for BadRecords {
    fn name(&self) -> String {
        "records.bad".to_owned()
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        _: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        async move {
            let count = park(world).await?;
            Ok(Struck::only_if(count > 0, format!("{count} parked")))
        }
        .boxed_local()
    }
}

/// A record that nobody can read.
struct Bad {
    key: Option<&'static [u8]>,
    id: Option<Id>,
    event_type: Option<&'static str>,
    payload: Option<&'static [u8]>,
}

#[derive(Clone, Copy)]
enum Id {
    Fresh,
    Wrong,
}

const KEY: Option<&[u8]> = Some(b"0199c0de-0000-7000-8000-000000000000");
const TYPE: Option<&str> = Some("store.orders.events.v9.NeverHeardOf");
const NO_PROTOBUF: Option<&[u8]> = Some(&[0xff; 16]);
/// Field 2000 is 1: what a later version of an envelope may say.
const NEWER: Option<&[u8]> = Some(&[0x80, 0x7d, 0x01]);

const BAD: [Bad; 6] = [
    // Nothing but bytes.
    Bad { key: None, id: None, event_type: None, payload: NO_PROTOBUF },
    // No id, or one that is none.
    Bad { key: KEY, id: None, event_type: TYPE, payload: NEWER },
    Bad { key: KEY, id: Some(Id::Wrong), event_type: TYPE, payload: NEWER },
    // A tombstone.
    Bad { key: KEY, id: Some(Id::Fresh), event_type: None, payload: None },
    // Another message than the topic's, under a key that is no text.
    Bad { key: Some(&[0xff]), id: Some(Id::Fresh), event_type: TYPE, payload: NO_PROTOBUF },
    // An event of a version to come.
    Bad { key: KEY, id: Some(Id::Fresh), event_type: TYPE, payload: NEWER },
];

/// Puts records on each topic that nobody can read.
pub(super) async fn put_bad_ones(world: &World) -> Result<(), ChaosError> {
    let producer = records::producer(world)?;
    let all = TOPICS.iter().flat_map(|topic| BAD.iter().map(move |bad| (topic, bad)));
    let sent = all.map(async |(topic, bad)| {
        let id = bad.id.map(|id| match id {
            Id::Fresh => Uuid::now_v7().to_string(),
            Id::Wrong => "17".to_owned(),
        });
        let texts = [("ce_id", id.as_deref()), ("ce_type", bad.event_type)];
        let mut headers = OwnedHeaders::new().insert(Header { key: INJECTED, value: Some("true") });
        for (key, value) in texts.into_iter().filter(|(_, value)| value.is_some()) {
            headers = headers.insert(Header { key, value });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).headers(headers);
        (record.key, record.payload) = (bad.key, bad.payload);
        producer.send(record, PATIENCE).await.map_err(|(error, _)| error)
    });
    try_join_all(sent).await?;
    Ok(())
}

/// Puts bad ones, and waits until each reader of each topic has parked them; answers how often one was.
async fn park(world: &World) -> Result<usize, ChaosError> {
    let groups = Owner::ALL.into_iter().flat_map(|reader| {
        reader.reads().iter().map(move |topic| format!("{}.{topic}.dlq", reader.name()))
    });
    let parked: Vec<_> = groups.collect();
    let parked: Vec<_> = parked.iter().map(String::as_str).collect();
    let tap = records::open(world, &parked, From::Now).await?;
    put_bad_ones(world).await?;
    let until = Instant::now() + PATIENCE;
    let mut count = 0;
    while count < parked.len() * BAD.len()
        && let Ok(letter) = timeout_at(until, tap.next()).await
    {
        // A connection that was lost is made again.
        let Ok(letter) = letter else { continue };
        count += usize::from(!letter.header(INJECTED).is_empty());
    }
    Ok(count)
}
