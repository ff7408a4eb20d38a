//! What must hold in every state, and what must be seen in some.

use crate::core::model::bounds::{Bounds, Delivery};
use crate::core::model::relay::{Phase, kept, waits, will_come};
use crate::core::model::table::{Announced, Row};
use crate::core::model::world::{Step, World};

/// Whether something holds in a state.
pub(super) type Predicate = fn(&Bounds, &World) -> bool;

/// What must hold in every state.
pub(super) const PROMISES: [(&str, Predicate); 8] = [
    (NOTHING_INVENTED, nothing_is_invented),
    (ORDER_PER_KEY, order_is_kept_per_key),
    (NOTHING_LOST, nothing_is_lost),
    (NOTHING_TWICE, |_, world| !world.twice),
    (NO_STALL, no_open_transaction_delays_another),
    (NO_LOST_WAKE_UP, no_wake_up_is_lost),
    (ONE_LEADER, |_, world| !world.trespassed),
    (COMES_TO_REST, comes_to_rest),
];

pub(super) const NOTHING_INVENTED: &str = "nothing is invented";
pub(super) const ORDER_PER_KEY: &str = "order is kept per key";
pub(super) const NOTHING_LOST: &str = "nothing is lost";
pub(super) const NOTHING_TWICE: &str = "nothing comes twice without need";
pub(super) const NO_STALL: &str = "no open transaction delays another";
pub(super) const NO_LOST_WAKE_UP: &str = "no wake-up is lost";
pub(super) const ONE_LEADER: &str = "whoever is succeeded reads no more";
pub(super) const COMES_TO_REST: &str =
    "once the writers have ended, all is published and no gap stays open";

/// A named sight.
pub(super) type Sight = (&'static str, Predicate);

/// A row is on Kafka although a transaction with a smaller number is open.
pub(super) const OUT_OF_ORDER: Sight = ("a row overtakes an open transaction", |_, world| {
    let open = world.table.rows().find(|(_, row)| matches!(row, Row::Open { .. }));
    open.is_some_and(|(open, _)| world.published.last().is_some_and(|&last| last > open))
});

/// A number that was missing when a larger one was read has been committed, and is waited for.
pub(super) const LATE: Sight = ("a row that commits late is waited for", |_, world| {
    let reading = world.leader().ledger.reading();
    let gap = reading.gaps().first();
    gap.is_some_and(|gap| world.table.committed().any(|(number, _)| number == gap))
});

/// A gap has been given up.
pub(super) const GIVEN_UP: Sight = ("a gap is given up", |_, world| {
    let gone = world.table.rows().find(|(_, row)| *row == Row::Gone);
    gone.is_some_and(|(gone, _)| world.leader().has_read(gone))
});

/// The head stands at a number that nobody has seen committed.
pub(super) const SKIPPED: Sight = ("the head passes a number that is not visible", |_, world| {
    let position = world.leader().ledger.reading();
    position.highest() < position.head()
});

/// A gap need not be looked up.
pub(super) const QUIET: Sight = ("a gap is quiet", |_, world| {
    world.leader().ledger.fillers(1).is_some_and(|fillers| !fillers.is_empty())
});

/// The relay sleeps and is called.
pub(super) const SLEEPS: Sight = ("a sleeping relay is called", |_, world| {
    world.leader().phase == Phase::Sleep && world.leader().notified
});

/// A record has still arrived from a former leader, or may.
pub(super) const SUCCEEDED: Sight =
    ("a former leader has something on its way", |_, world| world.relays.len() > 1);

/// A follower of a refused event is read and waits.
pub(super) const PARKED: Sight = ("a follower waits for its key", |_, world| {
    let parked = world.leader().ledger.parked();
    let mut rows = world.table.committed();
    rows.any(|(number, key)| Some(number) != world.poison && waits(parked, key, number))
});

/// What has waited is on Kafka.
pub(super) const RELEASED: Sight = ("what has waited is sent", |_, world| {
    let mut rows = world.table.committed().filter(|&(number, _)| world.is_published(number));
    world.mended && rows.nth(1).is_some()
});

/// Whatever stands on Kafka is committed.
fn nothing_is_invented(_: &Bounds, world: &World) -> bool {
    world
        .table
        .rows()
        .all(|(number, row)| matches!(row, Row::Committed { .. }) || !world.is_published(number))
}

/// What stands on Kafka of a key is a beginning of what is committed. Writers lock a key before they draw a number for it, so
/// that its numbers ascend in the order of the commits.
fn order_is_kept_per_key(bounds: &Bounds, world: &World) -> bool {
    (0..bounds.keys).all(|key| {
        let of_key = world.table.committed().filter(|&(_, other)| other == key);
        let mut later = of_key.skip_while(|&(number, _)| world.is_published(number));
        later.all(|(number, _)| !world.is_published(number))
    })
}

/// Whatever may still be committed, or is and does not stand on Kafka, lies before everybody who goes on from somewhere: before
/// the progress, and before the leader, unless it is on its way. What waits for its key lies before nobody.
fn nothing_is_lost(_: &Bounds, world: &World) -> bool {
    let (progress, leader) = (kept(&world.progress), world.leader());
    world.table.rows().all(|(number, row)| match row {
        Row::Gone => true,
        Row::Open { key, .. } | Row::Committed { key, .. } => {
            world.is_published(number)
                || will_come(&progress, key, number)
                    && will_come(leader.ledger.acknowledged(), key, number)
                    && (will_come(leader.ledger.read(), key, number) || leader.carries(number))
        }
    })
}

/// Whoever pauses has sent everything that its last look has shown, whatever else was open then.
fn no_open_transaction_delays_another(_: &Bounds, world: &World) -> bool {
    !world.leader().pauses() || !world.leader().leaves_behind
}

/// Whoever sleeps has a notification, or has read whatever is committed, but for what only the fallback poll finds.
fn no_wake_up_is_lost(_: &Bounds, world: &World) -> bool {
    let leader = world.leader();
    leader.phase != Phase::Sleep
        || leader.notified
        || world.table.rows().all(|(number, row)| match row {
            Row::Committed { announced: Announced::Lock | Announced::Notification, .. } => {
                leader.has_read(number)
            }
            Row::Committed { announced: Announced::Nothing, .. } | Row::Open { .. } | Row::Gone => {
                true
            }
        })
}

/// Wherever the writers have come to their end and the relay is at the beginning of a turn: if nothing else happens, all will be
/// well. Gone through from a part of the states, which every other leads to.
fn comes_to_rest(bounds: &Bounds, world: &World) -> bool {
    let ended = world.table.transactions.is_empty()
        && (world.table.begun == bounds.transactions
            || world.table.rows().count() == bounds.numbers);
    let leader = world.leader();
    !ended || leader.phase != Phase::Look || !leader.queue.is_empty() || at_rest(bounds, world)
}

/// Whether the relay, left alone for long enough, pauses with all published and no gap open.
pub(super) fn at_rest(bounds: &Bounds, world: &World) -> bool {
    let mut world = world.clone();
    for _ in 0..10 + 8 * bounds.numbers {
        world = work(bounds, world);
    }
    for _ in 0..8 {
        if !world.leader().pauses() {
            world = work(bounds, world);
        }
    }
    let leader = world.leader();
    let acknowledged = leader.ledger.acknowledged();
    leader.pauses()
        && world.table.committed().all(|(number, key)| {
            world.is_published(number) || waits(&acknowledged.parked, key, number)
        })
        && acknowledged.position.gaps().is_empty()
        && acknowledged == leader.ledger.read()
        && (acknowledged.parked.len() == 0 || !world.mended)
}

/// One turn of the leader, with all that it has sent.
fn work(bounds: &Bounds, mut world: World) -> World {
    while let Some(sent) = world.leader().queue.first() {
        let step = match bounds.delivery {
            _ if let Some(number) =
                world.poison.filter(|&number| world.leader().carries(number)) =>
            {
                Step::Refuse { number }
            }
            Delivery::AtLeastOnce => Step::Deliver { relay: 0, key: sent.key },
            Delivery::ExactlyOnce => Step::CommitSent { relay: 0 },
        };
        world = world.after(step, bounds);
    }
    if world.mended && world.leader().may_release() {
        world = world.after(Step::Retry, bounds);
    }
    if world.leader().releases() {
        world = world.after(Step::Release, bounds);
    }
    world.after(Step::Turn { relay: 0, observe: true }, bounds)
}
