//! Debezium in the relay's place is killed or stopped, both servers at once.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{Fault, Lane, Struck};
use crate::chaos::{ChaosError, World, relay::Relay};

#[derive(Clone, Copy, Debug)]
enum Blow {
    Killed,
    Stopped,
}

/// Each blow.
pub(super) fn all() -> Vec<Arc<dyn Fault>> {
    vec![Arc::new(Blow::Killed), Arc::new(Blow::Stopped)]
}

impl Fault for Blow {
    fn name(&self) -> String {
        let blow = match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        };
        format!("debezium.{blow}")
    }

    fn lane(&self) -> Lane {
        Lane::Relay
    }

    fn only_with(&self) -> Option<Relay> {
        Some(Relay::Debezium)
    }

    fn strike<'a>(
        &'a self,
        world: &'a World,
        mut random: StdRng,
    ) -> LocalBoxFuture<'a, Result<Struck, ChaosError>> {
        let pause = Duration::from_millis(random.random_range(0..1_500));
        async move {
            let mut running = 0;
            for server in &world.debezium {
                // It may have ended by itself, where Kafka was away for long.
                running += usize::from(server.is_running().await);
                match self {
                    Self::Killed => server.kill().await,
                    Self::Stopped => server.stop().await?,
                }
            }
            sleep(pause).await;
            world.revive_debezium().await?;
            Ok(Struck::only_if(running > 0, format!("{} ms, {running} servers", pause.as_millis())))
        }
        .boxed_local()
    }
}
