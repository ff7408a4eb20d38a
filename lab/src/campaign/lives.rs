//! The lives of a round's relay, and what ends them.

use std::{fmt, time::Duration};

use rand::{Rng, rngs::StdRng};
use tokio::time::sleep;

use super::{
    Delivery, Fault, RoundError,
    course::Course,
    fault::FailPoint,
    place::Place,
    relay::{Life, Relay, Starter},
    script,
    writers::{APPLICATION, connect},
};

/// The relays of a round.
pub(super) struct Lives<'a> {
    place: &'a Place,
    course: &'a Course,
    delivery: Delivery,
    starter: Starter<'a>,
}

/// A fail point and the passage at which the relay dies there.
#[derive(Clone, Copy, Debug)]
struct Armed {
    point: &'static FailPoint,
    hit: u64,
}

impl<'a> Lives<'a> {
    /// Of a round over `place`.
    pub(super) fn new(place: &'a Place, course: &'a Course, delivery: Delivery, seed: u64) -> Self {
        Self { place, course, delivery, starter: Starter::new(place, delivery, seed) }
    }

    /// Lives until the course ends, through `fault` at `hit`. Answers whether the fault happened.
    pub(super) async fn live(&self, fault: Fault, hit: u64, seed: u64) -> Result<bool, RoundError> {
        if let Fault::Point(point) = fault {
            return self.die_at(Armed { point, hit }, seed).await;
        }
        let mut random = script::random(seed, "lives");
        let relay = self.starter.start(&self.slow_point(&mut random))?;
        relay.until_ready().await?;
        match fault {
            Fault::RelayKilled => self.die_by_signal(relay, hit, random.random()).await?,
            Fault::RelayPaused => self.pause(relay, hit, random.random()).await?,
            Fault::RelayCut
            | Fault::KafkaKilled
            | Fault::KafkaPaused
            | Fault::PostgresStopped
            | Fault::Point(_) => {
                let breaking = async {
                    self.course.more_transactions(hit).await;
                    self.break_around(&relay, fault, &mut random).await?;
                    relay.until_ready().await?;
                    self.course.fault_ended();
                    Ok(())
                };
                tokio::try_join!(breaking, self.live_until(&relay))?;
            }
        }
        Ok(true)
    }

    /// In some rounds the relay is slow at one point, so that the fault finds it there more often than elsewhere.
    fn slow_point(&self, random: &mut StdRng) -> Vec<String> {
        let point = Fault::another_point(self.delivery, random);
        let delay = random.random_range(1..60);
        let is_slow: bool = random.random();
        is_slow.then(|| format!("{}=delay({delay})", point.name)).into_iter().collect()
    }

    /// One life up to the fail point, sometimes one up to another, and one to the end.
    async fn die_at(&self, armed: Armed, seed: u64) -> Result<bool, RoundError> {
        let mut random = script::random(seed, "lives");
        let another = Armed {
            point: Fault::another_point(self.delivery, &mut random),
            hit: random.random_range(1..=3),
        };
        let lives = match random.random_range(0..3) {
            0 => vec![armed, another],
            // It must be reached for the one that counts to have its turn.
            1 => vec![Armed { hit: 1, ..another }, armed],
            _ => vec![armed],
        };
        let mut reached = false;
        for life in lives.into_iter().map(Some).chain([None]) {
            if self.course.is_stopping() {
                break;
            }
            let points: Vec<_> = life.iter().map(ToString::to_string).collect();
            let relay = self.starter.start(&points)?;
            if reached {
                // It may die before, as the one that counts did.
                let _ = relay.until_ready().await;
                self.course.fault_ended();
            }
            if self.live_until(&relay).await? == Life::Stopped {
                break;
            }
            reached |= life.is_some_and(|life| life.point == armed.point);
        }
        Ok(reached)
    }

    /// It gets SIGKILL, and the one that stood by or is started now goes on.
    async fn die_by_signal(
        &self,
        relay: Relay,
        hit: u64,
        stands_by: bool,
    ) -> Result<(), RoundError> {
        let mut next = None;
        if stands_by {
            let standby = self.starter.start(&[])?;
            standby.until_is("standby").await?;
            next = Some(standby);
        }
        self.course.more_transactions(hit).await;
        relay.kill().await;
        let next = match next {
            Some(standby) => standby,
            None => self.starter.start(&[])?,
        };
        next.until_ready().await?;
        self.course.fault_ended();
        self.live_until(&next).await.map(drop)
    }

    /// It gets SIGSTOP, wakes up when another one leads, and stands by then; or that one dies at that moment, and it leads again.
    async fn pause(&self, first: Relay, hit: u64, other_dies: bool) -> Result<(), RoundError> {
        let other = self.starter.start(&[])?;
        other.until_is("standby").await?;
        self.course.more_transactions(hit).await;
        first.pause();
        other.until_is("leader").await?;
        first.resume();
        if other_dies {
            other.kill().await;
            first.until_ready().await?;
        } else {
            first.until_is("standby").await?;
        }
        self.course.fault_ended();
        self.course.stopping().await;
        first.stop().await?;
        if other_dies { Ok(()) } else { other.stop().await.map(drop) }
    }

    /// What the relay works with breaks, and comes back.
    async fn break_around(
        &self,
        relay: &Relay,
        fault: Fault,
        random: &mut StdRng,
    ) -> Result<(), RoundError> {
        if fault == Fault::RelayCut {
            for _ in 0..random.random_range(1..=3) {
                relay.until_ready().await?;
                sleep(Duration::from_millis(random.random_range(0..300))).await;
                self.cut().await?;
            }
            return Ok(());
        }
        let servers = self.place.own.as_ref().ok_or(RoundError::SharedServers)?;
        match fault {
            Fault::KafkaKilled => {
                servers.kafka.kill().await?;
                servers.kafka.start().await?;
            }
            Fault::KafkaPaused => {
                servers.kafka.pause().await?;
                sleep(Duration::from_millis(random.random_range(500..25_000))).await;
                servers.kafka.resume().await?;
            }
            Fault::PostgresStopped => {
                servers.postgres.stop().await?;
                servers.postgres.start().await?;
            }
            Fault::Point(_) | Fault::RelayKilled | Fault::RelayPaused | Fault::RelayCut => {}
        }
        Ok(())
    }

    /// Ends the relay's connections.
    async fn cut(&self) -> Result<(), RoundError> {
        let mut connection = connect(self.place).await?;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name <> $1",
        )
        .bind(APPLICATION)
        .execute(&mut connection)
        .await?;
        Ok(())
    }

    /// Waits until it dies at its fail point, or stops it when the course ends.
    async fn live_until(&self, relay: &Relay) -> Result<Life, RoundError> {
        tokio::select! {
            ended = relay.ended() => return relay.died(ended?),
            () = self.course.stopping() => {}
        }
        // Before it leads, it may not yet know how to stop.
        match relay.until_ready().await {
            Ok(()) => relay.stop().await,
            Err(error) => match relay.exit_status() {
                Some(status) => relay.died(status),
                None => Err(error),
            },
        }
    }
}

impl fmt::Display for Armed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=abort@{}", self.point.name, self.hit)
    }
}
