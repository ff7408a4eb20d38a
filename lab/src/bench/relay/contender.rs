//! Who is measured: each a process of its own that takes rows from an outbox to Kafka.

use std::path::PathBuf;

use anyhow::Context;

use super::{
    ground::{self, Delivery, Ground},
    rival::{Rival, Tuning},
};
use crate::stack::{Debezium, Process};

/// A way from an outbox to Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    Bare,
    Relay,
    ExactlyOnce,
    Debezium(Tuning),
}

/// A contender that runs.
pub(super) enum Running {
    Ours(Process),
    Rival(Box<Debezium>),
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare pipeline",
            Self::Relay => "relay",
            Self::ExactlyOnce => "relay, exactly once",
            Self::Debezium(Tuning::Rate) => "Debezium Server",
            Self::Debezium(Tuning::Latency) => "Debezium Server, polling every 1 ms",
        }
    }

    /// Starts it on the outbox at `url`, of which it has published nothing yet.
    pub(super) async fn start(
        self,
        ground: &Ground,
        url: &str,
        rival: Option<&Rival>,
    ) -> anyhow::Result<Running> {
        Ok(match self {
            Self::Bare => {
                let brokers = ground.brokers().await?;
                let arguments =
                    ["bare-pipeline", "--database-url", url, "--kafka-brokers", brokers];
                Running::Ours(ground.lab("bare-pipeline", &arguments)?)
            }
            Self::Relay => Running::Ours(ground.relay(url, Delivery::AtLeastOnce).await?),
            Self::ExactlyOnce => Running::Ours(ground.relay(url, Delivery::ExactlyOnce).await?),
            Self::Debezium(tuning) => {
                let rival = rival.context("there is no Debezium Server")?;
                Running::Rival(Box::new(rival.start(ground, url, tuning).await?))
            }
        })
    }
}

impl Running {
    /// The operating system's id of its process; `None` if it has ended.
    pub(super) async fn pid(&self) -> Option<i32> {
        match self {
            Self::Ours(process) => Some(process.pid()),
            Self::Rival(rival) => rival.pid().await,
        }
    }

    pub(super) async fn is_running(&self) -> bool {
        match self {
            Self::Ours(process) => process.exit_status().is_none(),
            Self::Rival(rival) => rival.is_running().await,
        }
    }

    pub(super) fn log(&self) -> PathBuf {
        match self {
            Self::Ours(process) => process.log().to_owned(),
            Self::Rival(rival) => rival.log(),
        }
    }

    /// Stops it as an operator would.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Ours(process) => ground::stop(&process).await,
            Self::Rival(rival) => Ok(rival.remove().await?),
        }
    }
}
