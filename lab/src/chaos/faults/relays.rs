//! Two relays at once: one leads, the other stands by and takes over when the first is killed.

use std::sync::Arc;

use futures::future::{FutureExt, LocalBoxFuture};
use rand::rngs::StdRng;

use super::{Fault, Lane, Struck};
use crate::{
    chaos::{ChaosError, World},
    processes::{Program, Service},
};

/// How many calls are made while one of the two is alone.
const CALLS: u64 = 15;

#[derive(Clone, Copy, Debug)]
struct TwoRelays;

/// The one there is.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    vec![Arc::new(TwoRelays)]
}

impl Fault for TwoRelays {
    fn name(&self) -> String {
        "outbox-relay.twice".to_owned()
    }

    fn lane(&self) -> Lane {
        Lane::Relay
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        _: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        async move {
            let second = Service::new(world.system.relay.options().clone())?;
            second.start_unready().await?;
            world.recorder.more_calls(CALLS).await;
            world.system.relay.kill().await;
            world.recorder.more_calls(CALLS).await;
            world.revive(Program::OutboxRelay).await?;
            second.kill().await;
            Ok(Struck::Yes("killed".to_owned()))
        }
        .boxed_local()
    }
}
