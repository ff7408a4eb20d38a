//! A program fails at a place of the road: it dies there, ends, hangs, meets an error, or is slow.

use std::{fs, os::unix::process::ExitStatusExt, sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use nix::sys::signal::Signal;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use runtime::fail_points::road;
use tokio::time::{Instant, sleep};

use super::{Fault, Lane, Struck, bad_records, operator::Refused};
use crate::{
    campaign::Delivery,
    chaos::{ChaosError, World},
    processes::Program,
};

/// How long to wait until somebody comes by.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// The exit code of `exit`.
const EXIT_CODE: i32 = 3;
/// How many calls are made while a program hangs or is slow.
const CALLS: u64 = 12;
/// The passages at which it may happen where orders pass often.
const HITS: std::ops::RangeInclusive<u64> = 1..=3;

/// A program fails at a place.
#[derive(Clone, Copy, Debug)]
struct At {
    program: Program,
    point: &'static str,
    /// What is to happen, if chance does not say.
    action: Option<&'static str>,
}

/// What is to happen there, as `--fail-points` takes it. Dying is the most of it.
const ACTIONS: [&str; 8] =
    ["abort", "abort", "abort", "abort", "exit", "pause", "error", "delay(400)"];

/// Places where no caller brings a program, so that no fault waits there:
/// - A product is gone only if somebody removes its row by hand, which breaks I-6: no command removes one with an open order.
const BROUGHT_BY_NOBODY: [&str; 1] = [road::GIVE_STOCK_BACK_GONE];

/// All places of all programs that somebody comes by, in the order of the road.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    places().map(|at| Arc::new(at) as Arc<dyn Fault>).collect()
}

/// A place with what is to happen there: `NAME=ACTION`.
pub(super) fn named(name: &str) -> Option<Arc<dyn Fault>> {
    let (place, action) = name.split_once('=')?;
    let at = places().find(|at| at.name() == place)?;
    let action = ACTIONS.into_iter().find(|known| *known == action)?;
    Some(Arc::new(At { action: Some(action), ..at }))
}

fn places() -> impl Iterator<Item = At> {
    let of = |program, points: &'static [&'static str]| {
        points.iter().map(move |point| At { program, point, action: None })
    };
    of(Program::StoreManager, &road::STORE_MANAGER)
        .chain(of(Program::OutboxRelay, &road::RELAY))
        .chain(of(Program::Payments, &road::PAYMENTS))
        .filter(|at| !BROUGHT_BY_NOBODY.contains(&at.point))
}

impl Fault for At {
    fn name(&self) -> String {
        let Self { program, point, action } = self;
        let action = action.map(|action| format!("={action}")).unwrap_or_default();
        format!("{}:{point}{action}", program.name())
    }

    fn lane(&self) -> Lane {
        self.program.into()
    }

    fn applies_to(&self, delivery: Delivery) -> bool {
        let in_transaction = [road::RELAY_COMMITTING, road::RELAY_COMMITTED];
        delivery == Delivery::ExactlyOnce || !in_transaction.contains(&self.point)
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let drawn = *ACTIONS.choose(&mut random).unwrap_or(&"abort");
        let action = self.action.unwrap_or(drawn);
        let hit = if self.is_passed_often() { random.random_range(HITS) } else { 1 };
        async move {
            let armed = format!("{}={action}@{hit}", self.point);
            let mut refused = match self.needs() {
                Need::Operator => Some(Refused::new(world).await?),
                Need::Nothing | Need::BadRecord => None,
            };
            let struck = self.until_struck(world, &armed, action, refused.as_mut()).await?;
            let service = world.system.service(self.program);
            match struck {
                Struck::Yes(_) | Struck::Later(..) if action == "error" => {
                    world.stop(self.program).await;
                }
                // Slow on purpose, it may not stop in time.
                Struck::Yes(_) | Struck::Later(..) if action.starts_with("delay") => {
                    let _ = service.stop().await;
                }
                Struck::Yes(_) | Struck::Later(..) | Struck::No => service.kill().await,
            }
            world.revive(self.program).await?;
            if let Some(refused) = &mut refused {
                refused.help(world).await?;
            }
            Ok(struck)
        }
        .boxed_local()
    }
}

/// What must be done so that somebody comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Orders do.
    Nothing,
    /// A record that nobody can read.
    BadRecord,
    /// An event that Kafka refuses, and an operator who helps.
    Operator,
}

impl At {
    fn needs(self) -> Need {
        match self.point {
            road::CONSUMER_PARKING | road::CONSUMER_PARKED => Need::BadRecord,
            road::RELAY_ANSWERING => Need::Operator,
            _ => Need::Nothing,
        }
    }

    /// Whether every order comes by. Once is all that an operator, a bad record, a new leader and sometimes a short line make of
    /// it.
    fn is_passed_often(self) -> bool {
        let step = self.point.split('.').next().unwrap_or_default();
        let by_all = ["create_order", "relay", "consumer", "take_stock", "worker"].contains(&step);
        let by_few = [road::RELAY_LEADING, road::TAKE_STOCK_SHORT].contains(&self.point);
        by_all && self.needs() == Need::Nothing && !by_few
    }

    /// Starts the program with the point armed, and waits until it has failed there.
    async fn until_struck(
        self,
        world: &World,
        armed: &str,
        action: &str,
        refused: Option<&mut Refused>,
    ) -> Result<Struck, ChaosError> {
        let service = world.system.service(self.program);
        world.stop(self.program).await;
        let said_before = self.said(world)?;
        service.start_failing(armed).await?;
        if self.needs() == Need::BadRecord {
            bad_records::put_bad_ones(world).await?;
        }
        let mut failed = Box::pin(self.failed(world, armed, action, said_before));
        let Some(refused) = refused else { return failed.await };
        // The relay may be dead at the answer: what is left of the help follows when it lives again.
        tokio::select! {
            struck = &mut failed => return struck,
            helped = refused.help(world) => helped?,
        }
        failed.await
    }

    async fn failed(
        self,
        world: &World,
        armed: &str,
        action: &str,
        said_before: usize,
    ) -> Result<Struck, ChaosError> {
        let service = world.system.service(self.program);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = service.exit_status().await {
                let as_told = match action {
                    "abort" => status.signal() == Some(Signal::SIGABRT as i32),
                    "exit" => status.code() == Some(EXIT_CODE),
                    _ => false,
                };
                if as_told {
                    return Ok(Struck::Later(action.to_owned(), world.under_way().await));
                }
                // What it needs is down at the moment.
                sleep(LOOK_EVERY * 10).await;
                service.start_failing(armed).await?;
            } else if self.said(world)? > said_before && !matches!(action, "abort" | "exit") {
                let steps = world.under_way().await;
                world.recorder.more_calls(CALLS).await;
                return Ok(Struck::Later(action.to_owned(), steps));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(Struck::No)
    }

    /// How often the program has said that it fails there.
    fn said(self, world: &World) -> Result<usize, ChaosError> {
        let log = world.system.service(self.program).log();
        let text = fs::read(log)?;
        let text = String::from_utf8_lossy(&text);
        let says = |line: &&str| line.contains("failing on purpose") && line.contains(self.point);
        Ok(text.lines().filter(says).count())
    }
}
