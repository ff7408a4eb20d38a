//! How large the world is, and what is wrong with it.

use crate::core::model::promises::Sight;
use crate::core::model::table::Kind;

/// How often a record may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Progress follows the acknowledgements.
    AtLeastOnce,
    /// Records and progress are committed together.
    ExactlyOnce,
}

/// A precaution that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Reads above the last number and remembers no gaps.
    CursorOnly,
    /// Sends a page before it looks the gaps up.
    PageBeforeGaps,
    /// Gives a gap up while the transaction that drew the number lives.
    HoldersIgnored,
    /// Reads the holders before the snapshot that shows the gap.
    HoldersBeforeSnapshot,
    /// Gives a gap up without having looked once more.
    NoLaterLook,
    /// Passes gaps over without asking whether those who may fill them are still in progress.
    NobodyAsked,
    /// Asks so before the snapshot of the look.
    AskedBeforeSnapshot,
    /// Passes gaps over without having looked once more since those who may fill them were observed.
    QuietAtOnce,
    /// Takes those who may fill gaps and are gone by the next observation for rolled back.
    GoneForgotten,
    /// Moves the head to a number that has not been drawn.
    SkipsUndrawn,
    /// Publishes nothing above an open gap.
    WaitsForGaps,
    /// Falls asleep without having looked once more.
    NoSecondLook,
    /// Sends a record again behind its key's followers.
    FollowersSent,
    /// Sets aside a refused event and not its key's followers.
    FollowersNotParked,
    /// Lets a key flow again without having sent what waits.
    ReleasedAtOnce,
    /// Keeps as progress what is read and not what is acknowledged.
    ProgressOfReading,
    /// Keeps its progress under the name of former leaders and producers.
    OneTerm,
    /// Keeps the progress after the transaction that holds the records.
    ProgressOutside,
    /// Leads while a former leader's transaction may still be committed.
    Unfenced,
    /// Leads while a former leader goes on reading.
    LeadsWithoutLock,
    /// Writers draw a number before they take the table's lock, as with a sequence that has a cache.
    NumberBeforeLock,
}

/// From what numbers on a transaction is a large one: in the model it is a few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large {
    /// Numbers that one statement of a look goes through.
    pub(super) reach: i64,
    /// Numbers that may lie invisible above the head without being left open.
    pub(super) far: i64,
    /// Numbers that it is asked for who is in progress.
    pub(super) worthwhile: i64,
}

impl Large {
    /// More than there are.
    const NONE: Self = Self { reach: 1 << 32, far: 1 << 32, worthwhile: 1 << 32 };
}

/// The bounds of a world, small enough to be gone through or large enough to be walked in.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Numbers drawn.
    pub(super) numbers: usize,
    /// Transactions begun.
    pub(super) transactions: u8,
    /// Transactions open at once.
    pub(super) open: usize,
    /// Keys.
    pub(super) keys: u8,
    /// What transactions may be like.
    pub(super) kinds: &'static [Kind],
    /// Whether transactions roll back to savepoints.
    pub(super) savepoints: bool,
    /// Rows of a page.
    pub(super) page_rows: usize,
    /// What is done about large transactions that are open, if anything.
    pub(super) large: Option<Large>,
    /// Records that the relay reads ahead of the acknowledgements; none: Kafka acknowledges at once.
    pub(super) in_flight: usize,
    /// Whether the relay sleeps, rather than looks again all the time.
    pub(super) sleeps: bool,
    /// Kills, failures of the producer and changes of the leader.
    pub(super) failures: u8,
    /// Whether Kafka refuses an event, until an operator has mended it.
    pub(super) poison: bool,
    pub(super) delivery: Delivery,
    pub(super) flaw: Option<Flaw>,
    /// What must be seen happening, or the bounds are too small to mean anything.
    pub(super) sights: &'static [Sight],
}

impl Bounds {
    /// From when on a transaction is large.
    pub(super) fn large(&self) -> Large {
        self.large.unwrap_or(Large::NONE)
    }

    /// Whether this precaution is left out.
    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}
