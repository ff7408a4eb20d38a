//! The way between two of them is slow, holds everything up, lets through only one direction, is cut, or resets its connections.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{Fault, Lane, Struck};
use crate::{
    chaos::{ChaosError, World},
    links::Link,
    stack::Way,
};

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

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let pause = Duration::from_millis(random.random_range(100..1_500));
        let delay = Duration::from_millis(random.random_range(5..80));
        async move {
            let way = world.link(self.link)?;
            match self.trouble {
                Trouble::Slow => way.set(Way::Slow(delay)),
                Trouble::Held => way.set(Way::Held),
                Trouble::HalfOpen => way.set(Way::HalfOpen),
                Trouble::Cut => way.set(Way::Cut),
                Trouble::Reset => way.reset(),
            }
            sleep(pause).await;
            way.set(Way::Open);
            Ok(Struck::Yes(format!("{} ms", pause.as_millis())))
        }
        .boxed_local()
    }
}
