//! One round: callers call, lane by lane what is planned is broken, then everything heals, comes to rest and is audited.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures::future::try_join_all;

use super::{
    ChaosError, Coverage, Lane, Plan, Report, Strike, World,
    report::{Happened, told},
    timeline::Timeline,
    workload,
};
use crate::{
    audit::{Sources, at_rest, audit},
    history::History,
    processes::Program,
    stack::{Stack, target_directory},
};

/// How long a healed system may take to come to rest. A consumer that was killed keeps its partitions for six seconds, what was
/// in trouble for long waits for ten between two tries, and a machine that does other things is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// Plays a round over servers of its own.
///
/// # Errors
/// If it cannot be played to its end, which says nothing of the system's promises.
pub async fn round(stack: &Stack, plan: &Plan) -> Result<Report, ChaosError> {
    let began = Instant::now();
    let world = World::open(stack, plan).await?;
    let coverage = Mutex::default();
    let happened = Mutex::default();
    let breaking = async {
        let lanes =
            Lane::ALL.into_iter().map(|lane| break_in(lane, &world, plan, &coverage, &happened));
        let broken = try_join_all(lanes).await;
        world.recorder.stop();
        broken
    };
    tokio::try_join!(breaking, workload::call(&world, plan.seed))?;
    world.heal().await?;
    let sources = Sources::from(&world.system);
    let rest = at_rest(&sources, PATIENCE).await?;
    let history = world.recorder.history();
    let verdicts = audit(&rest.snapshot, Some(&history), plan.delivery);
    let broken = verdicts.iter().flat_map(|verdict| &verdict.violations);
    let first = broken.filter_map(|violation| violation.order_id).next();
    let timeline = match first {
        Some(order_id) => Some(Timeline::of(order_id, &world, &rest.snapshot, &history).await?),
        None => None,
    };
    let mut report = Report {
        plan: plan.clone(),
        coverage: coverage.into_inner().unwrap_or_else(PoisonError::into_inner),
        orders: rest.snapshot.orders.len(),
        calls: history.invocations.len(),
        told: told(&history),
        happened: happened.into_inner().unwrap_or_else(PoisonError::into_inner),
        still_moves: rest.still_moves,
        crashes: world.crashes().await?,
        verdicts,
        timeline,
        took: began.elapsed(),
        kept: None,
    };
    if !report.is_good() {
        report.kept = Some(keep(&world, plan, &history)?);
    }
    Ok(report)
}

/// Copies the logs and the history to where they stay; answers where.
fn keep(world: &World, plan: &Plan, history: &History) -> Result<PathBuf, ChaosError> {
    let directory = target_directory().join("chaos").join(format!(
        "{}-{}-faults",
        plan.seed,
        plan.strikes.len()
    ));
    fs::create_dir_all(&directory)?;
    for program in Program::ALL {
        let log = world.system.service(program).log();
        if let Some(name) = log.file_name().filter(|_| log.exists()) {
            fs::copy(&log, directory.join(name))?;
        }
    }
    history.write(&directory.join("history.jsonl"))?;
    Ok(directory)
}

/// Breaks what is planned for a lane, one after the other.
async fn break_in(
    lane: Lane,
    world: &World,
    plan: &Plan,
    coverage: &Mutex<Coverage>,
    happened: &Mutex<Vec<Happened>>,
) -> Result<(), ChaosError> {
    let mut completed = 0;
    for strike in plan.strikes.iter().filter(|strike| strike.fault.lane() == lane) {
        let Strike { fault, after, .. } = strike;
        world.recorder.more_calls(*after).await;
        completed = world.more_completed(completed).await;
        let steps = world.under_way().await;
        let began = SystemTime::now();
        let struck = fault.strike(world, strike.random()).await?;
        let name = fault.name();
        coverage.lock().unwrap_or_else(PoisonError::into_inner).add(&name, &struck, steps);
        let mut happened = happened.lock().unwrap_or_else(PoisonError::into_inner);
        happened.push(Happened { began, ended: SystemTime::now(), name, struck });
    }
    Ok(())
}
