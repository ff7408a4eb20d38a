//! What is wrong with a store.

/// The one thing that is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Flaw {
    /// Nothing: an outbox and a relay, an inbox, locks, and the offset last.
    Sound,
    /// No outbox and no relay: each step commits, and then publishes its events straight to Kafka. A payment whose event may be
    /// missing is made again, as its step cannot tell.
    DualWrite,
    /// The offset of a record is committed before its transaction.
    OffsetFirst,
    /// No inbox, and no state or id that would tell a repeat from a first time.
    NoInbox,
    /// An event is appended to the outbox before the row of its key is locked.
    Unlocked,
    /// The stock of a refused order is given back when the payment fails, and again when the order is cancelled.
    RestocksTwice,
}

impl Flaw {
    /// All, the sound store first.
    pub const ALL: [Self; 6] = [
        Self::Sound,
        Self::DualWrite,
        Self::OffsetFirst,
        Self::NoInbox,
        Self::Unlocked,
        Self::RestocksTwice,
    ];

    /// As `--flaw` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::DualWrite => "dual-write",
            Self::OffsetFirst => "offset-first",
            Self::NoInbox => "no-inbox",
            Self::Unlocked => "unlocked",
            Self::RestocksTwice => "restocks-twice",
        }
    }

    /// Whether events go to Kafka by themselves, and not through the outbox.
    pub(super) fn publishes_itself(self) -> bool {
        self == Self::DualWrite
    }

    /// Whether the steps of `role` know what they have done before.
    pub(super) fn remembers(self, role: Role) -> bool {
        match (self, role) {
            (Self::NoInbox, _) | (Self::DualWrite, Role::Payments) => false,
            (Self::DualWrite, Role::Orders)
            | (Self::Sound | Self::OffsetFirst | Self::Unlocked | Self::RestocksTwice, _) => true,
        }
    }
}

/// One of the two services that the store stands for; each has its database and its consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Orders and stock, as store-manager.
    Orders,
    /// Payments.
    Payments,
}

impl Role {
    pub(super) const ALL: [Self; 2] = [Self::Orders, Self::Payments];

    /// The consumer group: that of the service.
    pub(super) fn group(self) -> &'static str {
        match self {
            Self::Orders => "store-manager",
            Self::Payments => "payments",
        }
    }
}
