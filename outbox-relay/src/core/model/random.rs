//! Some orders of events within large bounds, drawn at random.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::core::model::bounds::{Bounds, Delivery, Large};
use crate::core::model::exhaustive::KINDS;
use crate::core::model::promises::{PROMISES, at_rest};
use crate::core::model::world::World;

/// Room for about as much as the steps below can do.
const LARGE: Bounds = Bounds {
    numbers: 60,
    transactions: 40,
    open: 4,
    keys: 4,
    in_flight: 5,
    sleeps: true,
    sights: &[],
    ..KINDS
};

/// As many turns of the writers as of the relays, whoever of them has more to choose from.
fn choices() -> impl Strategy<Value = Vec<(bool, Index)>> {
    prop::collection::vec(any::<(bool, Index)>(), 0..300)
}

/// From not at all to always.
fn larges() -> impl Strategy<Value = Option<Large>> {
    let large = (1_i64..5, 0_i64..4, 1_i64..4);
    prop::option::of(large.prop_map(|(reach, far, worthwhile)| Large { reach, far, worthwhile }))
}

fn walk(bounds: &Bounds, choices: Vec<(bool, Index)>) -> Result<(), TestCaseError> {
    let mut world = World::new(bounds);
    for (writers, choice) in choices {
        let mut steps = Vec::new();
        if writers {
            world.writers_steps(bounds, &mut steps);
        }
        if steps.is_empty() {
            world.relays_steps(bounds, &mut steps);
        }
        if !steps.is_empty() {
            world = world.after(*choice.get(&steps), bounds);
        }
        for (promise, holds) in PROMISES {
            prop_assert!(holds(bounds, &world), "{}: {:#?}", promise, world);
        }
    }
    let ended = world.ended(bounds);
    prop_assert!(at_rest(bounds, &ended), "it does not come to rest: {:#?}", ended);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn undisturbed_the_relay_keeps_its_promises_in_a_large_world(
        choices in choices(),
        page_rows in 1_usize..6,
        large in larges(),
    ) {
        walk(&Bounds { page_rows, large, ..LARGE }, choices)?;
    }

    #[test]
    fn through_failures_the_relay_keeps_its_promises_in_a_large_world(
        choices in choices(),
        page_rows in 1_usize..6,
        large in larges(),
    ) {
        walk(&Bounds { page_rows, large, failures: 20, poison: true, ..LARGE }, choices)?;
    }

    #[test]
    fn exactly_once_the_relay_keeps_its_promises_in_a_large_world(
        choices in choices(),
        page_rows in 1_usize..6,
        large in larges(),
    ) {
        let delivery = Delivery::ExactlyOnce;
        walk(&Bounds { page_rows, large, failures: 20, poison: true, delivery, ..LARGE }, choices)?;
    }
}
