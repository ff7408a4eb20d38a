//! The relay's own program, started for a round.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, ExitStatus},
    time::Duration,
};

use nix::sys::signal::Signal;
use rand::seq::IndexedRandom;

use super::{Delivery, RoundError, course::PATIENCE, place::Place, script};
use crate::{
    processes,
    stack::{Process, StackError, ports},
};

/// Longer than the ten seconds after which a relay gives up waiting for Kafka.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How the relays of a round are started.
pub(super) struct Starter<'a> {
    place: &'a Place,
    arguments: Vec<String>,
}

/// A relay's process.
pub(super) struct Relay {
    process: Process,
    admin: SocketAddr,
    log: PathBuf,
    may_die: bool,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// At its fail point.
    Died,
    /// It was asked to stop, and stopped.
    Stopped,
}

impl<'a> Starter<'a> {
    /// With pages and windows as the seed wants them.
    pub(super) fn new(place: &'a Place, delivery: Delivery, seed: u64) -> Self {
        let mut random = script::random(seed, "relay");
        let page: u32 = *[2, 7, 40].choose(&mut random).unwrap_or(&7);
        let window: u32 = *[page, page * 3, 8_000].choose(&mut random).unwrap_or(&8_000);
        let options = [
            ("--sources", format!("main={}", place.url)),
            ("--kafka-brokers", place.brokers.clone()),
            ("--progress-topic", place.progress_topic.clone()),
            ("--delivery", delivery.name().to_owned()),
            ("--page-rows", page.to_string()),
            ("--rows-in-flight", window.to_string()),
        ];
        let arguments =
            options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self { place, arguments }
    }

    /// Starts a relay.
    pub(super) fn start(&self, fail_points: &[String]) -> Result<Relay, RoundError> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
        let mut command = Command::new(self.place.relay());
        command
            .arg("run")
            .args(&self.arguments)
            .args(["--admin-listen", &admin.to_string()])
            .env("RUST_LOG", "info");
        for point in fail_points {
            command.args(["--fail-points", point]);
        }
        let log = self.place.directory.join(format!("relay-{}.log", admin.port()));
        let process = Process::spawn("outbox-relay", command, &log, Signal::SIGKILL)?;
        let may_die = fail_points.iter().any(|point| point.contains("=abort"));
        Ok(Relay { process, admin, log, may_die })
    }
}

impl Relay {
    /// Kills it.
    pub(super) async fn kill(&self) {
        self.process.kill().await;
    }

    /// Freezes it.
    pub(super) fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on.
    pub(super) fn resume(&self) {
        self.process.resume();
    }

    /// How it ended; `None` while it runs.
    pub(super) fn exit_status(&self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) -> Result<ExitStatus, RoundError> {
        Ok(self.process.ended(Duration::MAX).await?)
    }

    /// It has ended: as it should at a fail point, or otherwise.
    pub(super) fn died(&self, status: ExitStatus) -> Result<Life, RoundError> {
        if self.may_die && status.signal() == Some(Signal::SIGABRT as i32) {
            Ok(Life::Died)
        } else {
            Err(StackError::ended("outbox-relay", status, &self.log).into())
        }
    }

    /// Stops it tidily.
    pub(super) async fn stop(&self) -> Result<Life, RoundError> {
        let status = self.process.stop(Signal::SIGTERM, STOP_PATIENCE).await?;
        if status.success() { Ok(Life::Stopped) } else { self.died(status) }
    }

    /// Waits until it leads.
    pub(super) async fn until_ready(&self) -> Result<(), RoundError> {
        self.until_is("leader").await
    }

    /// Waits until its source says so.
    pub(super) async fn until_is(&self, state: &str) -> Result<(), RoundError> {
        Ok(self.process.ready(PATIENCE, async || self.is(state).await).await?)
    }

    async fn is(&self, state: &str) -> bool {
        let Ok((_, body)) = processes::http::get(self.admin, "/readyz").await else { return false };
        let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        body["sources"]["main"]["state"] == state
    }
}
