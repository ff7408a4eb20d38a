//! A program is killed, asked to stop, or frozen.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{Fault, LONG_MS, Lane, Struck, lasted, silence};
use crate::{
    chaos::{ChaosError, World},
    processes::Program,
};

const USUAL_MS: Range<u64> = 0..1_500;
/// The relay's lease of 8 s ends in three of four long silences, which is one of four in all.
const RELAYS_LONG_MS: Range<u64> = 6_000..14_000;

#[derive(Clone, Copy, Debug)]
enum Blow {
    Killed,
    Stopped,
    Frozen,
}

#[derive(Clone, Copy, Debug)]
struct Signalled {
    program: Program,
    blow: Blow,
}

/// Each blow to each program.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    let blows = [Blow::Killed, Blow::Stopped, Blow::Frozen];
    let of = |program| {
        blows.into_iter().map(move |blow| Arc::new(Signalled { program, blow }) as Arc<dyn Fault>)
    };
    Program::ALL.into_iter().flat_map(of).collect()
}

impl Fault for Signalled {
    fn name(&self) -> String {
        let blow = match self.blow {
            Blow::Killed => "killed",
            Blow::Stopped => "stopped",
            Blow::Frozen => "frozen",
        };
        format!("{}.{blow}", self.program.name())
    }

    fn lane(&self) -> Lane {
        self.program.into()
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let pause = match self.blow {
            Blow::Killed | Blow::Stopped => Duration::from_millis(random.random_range(USUAL_MS)),
            Blow::Frozen => {
                let long_ms = match self.program {
                    Program::StoreManager | Program::Payments => LONG_MS,
                    Program::OutboxRelay => RELAYS_LONG_MS,
                };
                silence(&mut random, USUAL_MS, long_ms)
            }
        };
        async move {
            let service = world.system.service(self.program);
            // It may have ended by itself, where what it needs is down.
            let was_running = service.is_running().await;
            match self.blow {
                Blow::Killed => service.kill().await,
                Blow::Stopped => world.stop(self.program).await,
                Blow::Frozen => service.pause().await,
            }
            sleep(pause).await;
            service.resume().await;
            world.revive(self.program).await?;
            let way = match self.blow {
                Blow::Killed | Blow::Stopped => format!("{} ms", pause.as_millis()),
                Blow::Frozen => lasted(pause),
            };
            Ok(Struck::only_if(was_running, way))
        }
        .boxed_local()
    }
}
