//! What is done to the relay in a round: it dies at one of its fail points, or something around it breaks.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use rand::Rng;
use thiserror::Error;

use super::Delivery;

/// A fail point of the relay.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FailPoint {
    /// Its name, as `--fail-points` takes it.
    pub name: &'static str,
    /// The passages at which it may be armed: a round comes by so often however the relay's pages fall.
    hits: (u64, u64),
    /// The delivery that has it, if not both do.
    only: Option<Delivery>,
}

const ONCE: Option<Delivery> = Some(Delivery::ExactlyOnce);

/// All fail points, in the order of the relay's road.
pub const POINTS: [FailPoint; 9] = [
    FailPoint { name: "relay.leading", hits: (1, 1), only: None },
    FailPoint { name: "relay.read", hits: (1, 12), only: None },
    FailPoint { name: "relay.producing", hits: (1, 12), only: None },
    FailPoint { name: "relay.produced", hits: (1, 12), only: None },
    FailPoint { name: "relay.acknowledged", hits: (1, 12), only: None },
    FailPoint { name: "relay.progress", hits: (1, 5), only: None },
    FailPoint { name: "relay.committing", hits: (1, 12), only: ONCE },
    FailPoint { name: "relay.committed", hits: (1, 12), only: ONCE },
    FailPoint { name: "relay.answering", hits: (1, 1), only: None },
];

/// The fail point that is passed only after an operator's command.
const ANSWERING: &str = "relay.answering";

/// What is done to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It dies at a fail point.
    Point(&'static FailPoint),
    /// It gets SIGKILL; in some rounds another relay stands by.
    RelayKilled,
    /// It gets SIGSTOP while another relay stands by, and wakes up when that one leads.
    RelayPaused,
    /// Its connections to the database are ended, several times.
    RelayCut,
    /// The broker gets SIGKILL and is started again.
    KafkaKilled,
    /// The broker answers nobody for a while.
    KafkaPaused,
    /// PostgreSQL is stopped at once, without a checkpoint, and started again.
    PostgresStopped,
}

/// A fault has another name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no fault `{0}`: use one of {known}", known = Fault::all().map(Fault::name).collect::<Vec<_>>().join(", "))]
pub struct UnknownFault(String);

impl Fault {
    /// Those that are no fail points.
    const OTHERS: [Self; 6] = [
        Self::RelayKilled,
        Self::RelayPaused,
        Self::RelayCut,
        Self::KafkaKilled,
        Self::KafkaPaused,
        Self::PostgresStopped,
    ];

    /// All fail points.
    pub fn points() -> impl Iterator<Item = Self> {
        POINTS.iter().map(Self::Point)
    }

    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::points().chain(Self::OTHERS)
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Point(point) => point.name,
            Self::RelayKilled => "relay.killed",
            Self::RelayPaused => "relay.paused",
            Self::RelayCut => "relay.cut",
            Self::KafkaKilled => "kafka.killed",
            Self::KafkaPaused => "kafka.paused",
            Self::PostgresStopped => "postgres.stopped",
        }
    }

    /// Whether it can happen with this delivery.
    #[must_use]
    pub fn applies_to(self, delivery: Delivery) -> bool {
        match self {
            Self::Point(point) => point.only.is_none_or(|only| only == delivery),
            Self::RelayKilled
            | Self::RelayPaused
            | Self::RelayCut
            | Self::KafkaKilled
            | Self::KafkaPaused
            | Self::PostgresStopped => true,
        }
    }

    /// Whether it needs an event that Kafka refuses, and an operator who helps.
    pub(super) fn needs_operator(self) -> bool {
        self.name() == ANSWERING
    }

    /// Whether a server is stopped that others must not share.
    pub(super) fn breaks_servers(self) -> bool {
        match self {
            Self::KafkaKilled | Self::KafkaPaused | Self::PostgresStopped => true,
            Self::Point(_) | Self::RelayKilled | Self::RelayPaused | Self::RelayCut => false,
        }
    }

    /// When it happens: at which passage of the fail point, or after how many transactions since the relay leads.
    pub(super) fn hit(self, random: &mut impl Rng) -> u64 {
        let hits: RangeInclusive<u64> = match self {
            Self::Point(point) => point.hits.0..=point.hits.1,
            Self::RelayKilled
            | Self::RelayPaused
            | Self::RelayCut
            | Self::KafkaKilled
            | Self::KafkaPaused
            | Self::PostgresStopped => 20..=400,
        };
        random.random_range(hits)
    }

    /// Another fail point that the next relay meets.
    pub(super) fn another_point(delivery: Delivery, random: &mut impl Rng) -> &'static FailPoint {
        let points: Vec<_> = POINTS
            .iter()
            .filter(|point| point.name != ANSWERING && Self::Point(point).applies_to(delivery))
            .collect();
        points[random.random_range(0..points.len())]
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::all().find(|fault| fault.name() == name).ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_back_from_its_name() {
        for fault in Fault::all() {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        let error = "relay.nowhere".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("relay.read, relay.producing"), "{error}");
    }
}
