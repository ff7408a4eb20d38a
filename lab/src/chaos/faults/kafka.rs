//! The broker is killed, stopped, or frozen.
//!
//! A single partition without a leader cannot be had with one broker: all of them are there, or none. These faults are that case.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{Fault, LONG_MS, Lane, Struck, lasted, silence};
use crate::chaos::{ChaosError, World, world::persistently};

const USUAL_MS: Range<u64> = 100..3_000;

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Killed,
    Stopped,
    Frozen,
}

/// All kinds.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    let all = [Trouble::Killed, Trouble::Stopped, Trouble::Frozen];
    all.into_iter().map(|trouble| Arc::new(trouble) as Arc<dyn Fault>).collect()
}

impl Fault for Trouble {
    fn name(&self) -> String {
        let what = match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Frozen => "frozen",
        };
        format!("kafka.{what}")
    }

    fn lane(&self) -> Lane {
        Lane::Servers
    }

    fn cuts_off(&self) -> bool {
        true
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let pause = match self {
            Self::Killed | Self::Stopped => Duration::from_millis(random.random_range(USUAL_MS)),
            Self::Frozen => silence(&mut random, USUAL_MS, LONG_MS),
        };
        async move {
            let was_running = world.kafka().is_running().await;
            match self {
                Self::Killed => world.kafka().kill().await?,
                Self::Stopped => world.kafka().stop().await?,
                Self::Frozen => world.kafka().pause().await?,
            }
            sleep(pause).await;
            world.kafka().resume().await?;
            persistently(async || world.kafka().start().await).await?;
            let way = match self {
                Self::Killed | Self::Stopped => format!("{} ms", pause.as_millis()),
                Self::Frozen => lasted(pause),
            };
            Ok(Struck::only_if(was_running, way))
        }
        .boxed_local()
    }
}
