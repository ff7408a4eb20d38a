//! A model of the whole saga, in which every order of its steps is tried: two orders over the same product, a caller who cancels
//! and pays whenever there is something to cancel or pay, a provider that accepts or refuses, events that overtake each other across
//! topics and come again, processes that die between any two transactions.
//!
//! The services' rules are not modelled: `store_manager::domain` (what an input means, and what the step does to row and stock and
//! announces) and `payments::domain` run as they are, and so do the rules of the provider's ledger. What the model says by
//! itself is what those leave to their surroundings, each a line or two of a function that does I/O:
//! - which input an event is (`store-manager/src/handlers/`, one line a file);
//! - what becomes of an outcome: applied, left, or a dead letter (`steps::advance`, `commands::cancel_order`);
//! - that the first event about an order makes its payment's row, by a unique key that only PostgreSQL has (`payments/src/handlers/`);
//! - that the worker asks the provider outside any transaction, and which input an answer is (`payments/src/worker/settle.rs`).
//!
//! A transaction (inbox, rows, outbox) is one step; so a process that dies shows as a step that comes later, an event that
//! comes again, and an answer of the provider that nobody has written down.

mod bounds;
mod documented;
mod event;
mod orders;
mod payments;
mod promises;
mod runs;
mod steps;
mod world;

use stateright::{Model, Property};

use bounds::Bounds;
use steps::Step;
use world::World;

impl Model for Bounds {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        world.steps(self, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        Some(world.clone().after(step, self))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = promises::PROMISES.iter().map(|&(name, kept)| Property::always(name, kept));
        let sights = self.sights.iter().map(|&(name, seen)| Property::sometimes(name, seen));
        promises.chain(sights).collect()
    }
}
