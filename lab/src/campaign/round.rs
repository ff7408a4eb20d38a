//! One round.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use rand::Rng;
use runtime::with_causes;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Arena, Delivery, Fault, Report, RoundError, Variant,
    course::Course,
    lives::Lives,
    operator::{self, Outcomes},
    place::Place,
    records::{self, Listener},
    report::Finding,
    script::{self, Script},
    sitters::{self, Long},
    variants::Naive,
    writers,
};
use crate::invariants::{self, Event};

/// Writers of a round.
const WRITERS: usize = 4;

/// Writers that stay in their transactions for a while.
const SITTERS: usize = 2;

/// How long nothing new may come while something is still missing.
const RELAY_PATIENCE: Duration = Duration::from_secs(40);

/// The same for a variant, which has nothing to recover from.
const VARIANT_PATIENCE: Duration = Duration::from_secs(5);

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The relay, and what befalls it.
    Relay {
        /// How it delivers.
        delivery: Delivery,
        /// What befalls it.
        fault: Fault,
    },
    /// A relay that is broken on purpose.
    Variant(Variant),
}

/// What a round is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who publishes.
    pub subject: Subject,
    /// What decides everything that is left to chance.
    pub seed: u64,
}

impl Subject {
    /// What is promised.
    #[must_use]
    pub fn delivery(self) -> Delivery {
        match self {
            Self::Relay { delivery, .. } => delivery,
            Self::Variant(variant) => variant.delivery(),
        }
    }

    fn breaks_servers(self) -> bool {
        match self {
            Self::Relay { fault, .. } => fault.breaks_servers(),
            Self::Variant(_) => false,
        }
    }
}

impl Plan {
    /// When the fault happens.
    #[must_use]
    pub fn hit(&self) -> u64 {
        let mut random = script::random(self.seed, "hit");
        match self.subject {
            Subject::Relay { fault, .. } => fault.hit(&mut random),
            Subject::Variant(_) => random.random_range(1..=4),
        }
    }

    /// Whether some events are refused by Kafka, so that an operator has to help.
    fn has_operator(&self) -> bool {
        match self.subject {
            Subject::Relay { fault, .. } if fault.needs_operator() => true,
            Subject::Relay { fault, .. } => {
                !fault.breaks_servers() && script::random(self.seed, "refusal").random_ratio(1, 4)
            }
            Subject::Variant(_) => false,
        }
    }
}

/// Plays one round and judges it.
///
/// # Errors
/// If it cannot be judged, or if the relay ended or refused to stop.
pub async fn round(arena: &Arena<'_>, plan: Plan) -> Result<Report, RoundError> {
    let began = Instant::now();
    let place = Place::create(arena, plan.subject.breaks_servers()).await?;
    let played = Box::pin(play(&place, plan)).await;
    let mut report = match played {
        Ok(report) => report,
        Err(error) => Report { error: Some(with_causes(&error)), ..Report::of(plan) },
    };
    report.took = began.elapsed();
    if report.is_good() {
        place.remove(arena).await?;
    } else if let Subject::Relay { .. } = plan.subject {
        let kept = crate::stack::target_directory().join("lab-soak").join(report.name());
        place.keep_logs(&kept)?;
        report.logs = Some(kept);
    }
    Ok(report)
}

async fn play(place: &Place, plan: Plan) -> Result<Report, RoundError> {
    let course = Course::new();
    let publishing = async {
        match plan.subject {
            Subject::Relay { delivery, fault } => {
                let lives = Lives::new(place, &course, delivery, plan.seed);
                lives.live(fault, plan.hit(), plan.seed).await
            }
            Subject::Variant(variant) => {
                Naive::new(variant, place, &course).live(plan.hit()).await?;
                Ok(true)
            }
        }
    };
    let writing = async {
        let written = Box::pin(write(place, &course, plan)).await;
        course.stop();
        written
    };
    let (reached, (outcomes, findings)) = tokio::try_join!(Box::pin(publishing), writing)?;
    let mut rows = committed(place).await?;
    outcomes.apply(&mut rows);
    let records = records::read(&place.brokers, place.event_topics()).await?;
    let kafka_hangs = place.kafka_has_left_something_hanging()?;
    let report = Report { reached, findings, kafka_hangs, ..Report::of(plan) };
    Ok(judged(report, &rows, &records))
}

/// Writes all there is to write, and waits until it has come to Kafka.
async fn write(
    place: &Place,
    course: &Course,
    plan: Plan,
) -> Result<(Outcomes, Vec<Finding>), RoundError> {
    let seed = plan.seed;
    let patience = match plan.subject {
        Subject::Relay { .. } => RELAY_PATIENCE,
        Subject::Variant(_) => VARIANT_PATIENCE,
    };
    let topics: Vec<_> = place.topics.iter().map(String::as_str).collect();
    let mut listener = Listener::open(&place.brokers, &topics).await?;
    let long = Long::begin(place, seed).await?;
    let writers =
        (0..WRITERS).map(|writer| writers::write(place, course, Script::new(seed, writer)));
    let operating = async {
        if plan.has_operator() {
            operator::operate(place, course, seed).await
        } else {
            Ok(Outcomes::default())
        }
    };
    let sitters = (0..SITTERS).map(|sitter| sitters::sit(place, course, seed, sitter));
    let (_, _, outcomes) = tokio::try_join!(
        async { Ok(try_join_all(writers).await?) },
        async { Ok(try_join_all(sitters).await?) },
        Box::pin(operating),
    )?;
    sitters::commit_what_is_prepared(place, &long).await?;

    let mut findings = Vec::new();
    let stalled = listener.hear(&committed_ids(place).await?, patience).await;
    if stalled > 0 {
        findings.push(Finding::Stalled(stalled));
    }
    long.finish(place).await?;
    if findings.is_empty() {
        let late = listener.hear(&committed_ids(place).await?, patience).await;
        if late > 0 {
            findings.push(Finding::Late(late));
        }
    }
    Ok((outcomes, findings))
}

/// The events for the topics that are listened to, committed by now.
async fn committed_ids(place: &Place) -> Result<Vec<Uuid>, RoundError> {
    let mut connection = writers::connect(place).await?;
    Ok(sqlx::query_scalar("SELECT id FROM messaging.outbox WHERE aggregatetype = ANY ($1)")
        .bind(&place.topics[..])
        .fetch_all(&mut connection)
        .await?)
}

/// The rows: those of one key in the order of their commits.
async fn committed(place: &Place) -> Result<Vec<(Event, Vec<u8>)>, RoundError> {
    let mut connection = writers::connect(place).await?;
    // The version moved under the key's lock, so it numbers the key's commits; the relay never sees it.
    let rows = sqlx::query(
        "SELECT id, aggregatetype, aggregateid, payload FROM messaging.outbox
        ORDER BY aggregatetype, aggregateid, subject::bigint",
    )
    .fetch_all(&mut connection)
    .await?;
    let event = |row: &PgRow| Event {
        id: row.get("id"),
        topic: row.get("aggregatetype"),
        key: row.get("aggregateid"),
        partition: None,
    };
    Ok(rows.iter().map(|row| (event(row), row.get("payload"))).collect())
}

fn judged(mut report: Report, rows: &[(Event, Vec<u8>)], records: &[(Event, Vec<u8>)]) -> Report {
    let events =
        |of: &[(Event, Vec<u8>)]| of.iter().map(|(event, _)| event.clone()).collect::<Vec<_>>();
    let (committed, published) = (events(rows), events(records));
    let violations = match report.plan.subject.delivery() {
        Delivery::ExactlyOnce if !report.kafka_hangs => {
            invariants::exactly_once(&committed, &published)
        }
        Delivery::AtLeastOnce | Delivery::ExactlyOnce => {
            invariants::at_least_once(&committed, &published)
        }
    };
    report.findings.extend(violations.into_iter().map(Finding::Violation));

    let payloads: HashMap<Uuid, &[u8]> =
        rows.iter().map(|(event, payload)| (event.id, payload.as_slice())).collect();
    let altered = records.iter().filter(|(record, payload)| {
        payloads.get(&record.id).is_some_and(|written| written != payload)
    });
    report.findings.extend(altered.map(|(record, _)| Finding::Altered(record.clone())));

    let ids: HashSet<_> = published.iter().map(|record| record.id).collect();
    report.rows = rows.len();
    report.repeats = records.len() - ids.len();
    report
}
