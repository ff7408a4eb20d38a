//! The way between two of them is slow, holds everything up, lets through only one direction, is cut, or resets its connections.

use std::{ops::Range, sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{Fault, LONG_MS, Lane, Struck, lasted, silence};
use crate::{
    chaos::{ChaosError, World},
    links::Link,
    stack::{Proxy, Way},
};

const USUAL_MS: Range<u64> = 100..1_500;
/// How much longer to wait until somebody comes by.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Slow,
    Held,
    HalfOpen,
    Cut,
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Disturbed {
    link: Link,
    trouble: Trouble,
}

/// Each trouble on each way.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    let troubles = [Trouble::Slow, Trouble::Held, Trouble::HalfOpen, Trouble::Cut, Trouble::Reset];
    let of = |link| {
        troubles
            .into_iter()
            .map(move |trouble| Arc::new(Disturbed { link, trouble }) as Arc<dyn Fault>)
    };
    Link::ALL.into_iter().flat_map(of).collect()
}

impl Fault for Disturbed {
    fn name(&self) -> String {
        let trouble = match self.trouble {
            Trouble::Slow => "slow",
            Trouble::Held => "held",
            Trouble::HalfOpen => "half-open",
            Trouble::Cut => "cut",
            Trouble::Reset => "reset",
        };
        format!("{}.{trouble}", self.link)
    }

    fn lane(&self) -> Lane {
        self.link.program().into()
    }

    fn cuts_off(&self) -> bool {
        match self.link {
            Link::Postgres(_) | Link::Kafka(_) => true,
            Link::Callers(_) => false,
        }
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let delay = Duration::from_millis(random.random_range(5..80));
        let pause = match self.trouble {
            Trouble::Held | Trouble::HalfOpen | Trouble::Cut => {
                silence(&mut random, USUAL_MS, LONG_MS)
            }
            Trouble::Slow | Trouble::Reset => Duration::from_millis(random.random_range(USUAL_MS)),
        };
        async move {
            let way = world.link(self.link)?;
            let before = way.disturbed();
            self.trouble.befall(way, delay);
            sleep(pause).await;
            let until = Instant::now() + PATIENCE;
            while way.disturbed() == before && Instant::now() < until {
                self.trouble.befall(way, delay);
                sleep(LOOK_EVERY).await;
            }
            way.set(Way::Open);
            // Only now half-open connections break.
            sleep(LOOK_EVERY).await;
            let count = way.disturbed() - before;
            let lasted = match self.trouble {
                Trouble::Held | Trouble::HalfOpen | Trouble::Cut => lasted(pause),
                Trouble::Slow | Trouble::Reset => format!("{} ms", pause.as_millis()),
            };
            Ok(Struck::only_if(count > 0, format!("{lasted}, {count} disturbed")))
        }
        .boxed_local()
    }
}

impl Trouble {
    fn befall(self, way: &Proxy, delay: Duration) {
        match self {
            Self::Slow => way.set(Way::Slow(delay)),
            Self::Held => way.set(Way::Held),
            Self::HalfOpen => way.set(Way::HalfOpen),
            Self::Cut => way.set(Way::Cut),
            Self::Reset => way.reset(),
        }
    }
}
