//! One round: callers call, lane by lane what is planned is broken, then everything heals, comes to rest and is audited.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures::future::try_join_all;

use super::{
    ChaosError, Coverage, Lane, Plan, Report, Strike, World,
    keeping::keep,
    report::{Audited, Happened, Outcome, told},
    timeline::Timeline,
    workload,
};
use crate::{
    audit::{OrderState, Sources, at_rest, audit},
    campaign::Delivery,
    stack::Stack,
};

/// How long a healed system may take to come to rest. A consumer that was killed keeps its partitions for two seconds, what was
/// in trouble for long waits for ten between two tries, and a machine that does other things is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// What has been broken so far.
#[derive(Debug, Default)]
struct Course(Mutex<(Coverage, Vec<Happened>)>);

impl Course {
    fn lock(&self) -> MutexGuard<'_, (Coverage, Vec<Happened>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plays a round over servers of its own. One that cannot be played to its end has a report too.
pub async fn round(stack: &Stack, plan: &Plan) -> Report {
    let began = Instant::now();
    let course = Course::default();
    // All of its servers, so that what is kept of it is nobody else's.
    let (own, opened) = match stack.below("round") {
        Ok(own) => {
            let opened = World::open(&own, plan).await;
            (Some(own), opened)
        }
        Err(error) => (None, Err(error.into())),
    };
    let (world, played) = match opened {
        Ok(world) => {
            let played = play(&world, plan, &course).await;
            (Some(world), played)
        }
        Err(error) => (None, Err(error)),
    };
    let crashes = match &world {
        Some(world) => world.crashes().await.unwrap_or_else(|error| vec![error.to_string()]),
        None => Vec::new(),
    };
    let history = world.as_ref().map(|world| world.recorder.history()).unwrap_or_default();
    let (coverage, happened) = course.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut report = Report {
        plan: plan.clone(),
        coverage,
        calls: history.invocations.len(),
        told: told(&history),
        happened,
        outcome: match played {
            Ok(audited) => Outcome::Audited(audited),
            Err(error) => Outcome::BrokenOff(error.in_one_line()),
        },
        crashes,
        took: began.elapsed(),
        kept: None,
    };
    if !report.is_good()
        && let Some(own) = &own
    {
        let kept = keep(own, plan, &history, world.as_ref()).await;
        report.kept = Some(kept.map_err(|error| error.to_string()));
    }
    report
}

async fn play(world: &World, plan: &Plan, course: &Course) -> Result<Audited, ChaosError> {
    let breaking = async {
        let lanes = Lane::ALL.into_iter().map(|lane| break_in(lane, world, plan, course));
        let broken = try_join_all(lanes).await;
        world.recorder.stop();
        broken
    };
    tokio::try_join!(breaking, workload::call(world, plan.seed))?;
    let unready = world.heal().await?;
    let rest = at_rest(&Sources::from(&world.system), PATIENCE).await?;
    let history = world.recorder.history();
    let kafka_hangs = !world.kafka().left_hanging()?.is_empty();
    let delivery = if kafka_hangs { Delivery::AtLeastOnce } else { plan.delivery };
    let verdicts = audit(&rest.snapshot, Some(&history), delivery);
    let mut broken = verdicts.iter().flat_map(|verdict| &verdict.violations);
    let timeline = match broken.find_map(|violation| violation.order_id) {
        Some(order_id) => Some(Timeline::of(order_id, world, &rest.snapshot, &history).await),
        None => None,
    };
    let orders = &rest.snapshot.orders;
    let completed = orders.iter().filter(|order| order.state == OrderState::Completed).count();
    let orders = orders.len();
    let still_moves = rest.still_moves;
    Ok(Audited { orders, completed, unready, still_moves, kafka_hangs, verdicts, timeline })
}

/// Breaks what is planned for a lane, one after the other.
async fn break_in(
    lane: Lane,
    world: &World,
    plan: &Plan,
    course: &Course,
) -> Result<(), ChaosError> {
    let mut completed = 0;
    for strike in plan.strikes.iter().filter(|strike| strike.fault.lane() == lane) {
        let Strike { fault, after, .. } = strike;
        world.recorder.more_calls(*after).await;
        completed = world.more_completed(completed).await;
        let steps = world.under_way().await;
        let began = SystemTime::now();
        let name = fault.name();
        let failed = |source| ChaosError::Fault { name: name.clone(), source: Box::new(source) };
        let struck = if fault.cuts_off() {
            world.while_cut_off(lane, fault.strike(world, strike.random())).await
        } else {
            fault.strike(world, strike.random()).await
        };
        let struck = struck.map_err(failed)?;
        let (coverage, happened) = &mut *course.lock();
        coverage.add(&name, &struck, steps);
        happened.push(Happened { began, ended: SystemTime::now(), name, struck });
    }
    Ok(())
}
