//! How often an event may come to Kafka.

use std::fmt;

/// What a relay is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Delivery {
    /// Once, and again after a crash.
    AtLeastOnce,
    /// Once, for a consumer that reads what is committed.
    ExactlyOnce,
}

impl Delivery {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AtLeastOnce, Self::ExactlyOnce];

    /// As the relay's option has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
