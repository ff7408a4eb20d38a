//! The programs of the system.

/// A program of the system that serves until it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Orders, stock, catalogue and users.
    StoreManager,
    /// Payments.
    Payments,
    /// Outbox to Kafka.
    OutboxRelay,
}

impl Program {
    /// All, in the order in which they are started.
    pub const ALL: [Self; 3] = [Self::StoreManager, Self::Payments, Self::OutboxRelay];

    /// The name of its binary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StoreManager => "store-manager",
            Self::Payments => "payments",
            Self::OutboxRelay => "outbox-relay",
        }
    }

    /// The name of its database, if it has one.
    #[must_use]
    pub fn database(self) -> Option<&'static str> {
        match self {
            Self::StoreManager => Some("store_manager"),
            Self::Payments => Some("payments"),
            Self::OutboxRelay => None,
        }
    }

    /// The subcommand that serves.
    pub(super) fn serve(self) -> &'static str {
        match self {
            Self::StoreManager | Self::Payments => "serve",
            Self::OutboxRelay => "run",
        }
    }
}
