//! Two relays at once: one leads, the other stands by and takes over when the first is killed.

use std::{sync::Arc, time::Duration};

use futures::future::{FutureExt, LocalBoxFuture};
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::{Fault, Lane, Struck};
use crate::{
    chaos::{ChaosError, World},
    processes::{Program, Service},
};

/// How many calls are made while one of the two is alone.
const CALLS: u64 = 15;
/// Longer than the lease of a leader that was killed.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
            let was_running = world.system.relay.is_running().await && second.is_running().await;
            world.system.relay.kill().await;
            let until = Instant::now() + PATIENCE;
            let mut led = false;
            while !led && Instant::now() < until {
                sleep(LOOK_EVERY).await;
                led = second.admin("/metrics").await.is_ok_and(|(_, metrics)| leads(&metrics));
            }
            world.recorder.more_calls(CALLS).await;
            world.revive(Program::OutboxRelay).await?;
            second.kill().await;
            world.note_ends(&second).await;
            // Where Kafka or the database is away, nobody takes over.
            Ok(Struck::only_if(was_running && led, "taken-over by the second".to_owned()))
        }
        .boxed_local()
    }
}

/// Whether a relay's metrics say that it leads a source.
fn leads(metrics: &str) -> bool {
    metrics.lines().any(|line| line.starts_with("store_relay_leader{") && line.ends_with(" 1"))
}

#[cfg(test)]
mod tests {
    use super::leads;

    #[test]
    fn who_leads_one_source_leads() {
        let metrics = |first, second| {
            format!(
                "store_relay_leader{{source=\"a\"}} {first}\nstore_relay_leader{{source=\"b\"}} {second}\n"
            )
        };
        assert!(leads(&metrics(0, 1)));
        assert!(!leads(&metrics(0, 0)));
        assert!(!leads("store_other{source=\"a\"} 1"));
    }
}
