//! A model of the table, its writers, the relay and Kafka, in which every order of events is tried.
//!
//! The relay's decisions are not modelled: [`Ledger`](crate::core::ledger::Ledger) and what it is made of run as they are, and so
//! does the [`progress`](crate::core::progress). The model gives them a world whose steps come in any order: [`exhaustive`] goes
//! through all orders within small bounds (1.3 million states by 4.1 million steps), [`random`] through some within large ones, and
//! [`broken`] shows that a relay or a writer without one of the precautions is caught.
//!
//! What the model adds to the real code is the order of the leader's statements (`source/leader.rs`, `look.rs`, `release.rs`) and of
//! the writer's (`messaging.next_outbox_sequence`).

mod bounds;
mod broken;
mod exhaustive;
mod promises;
mod random;
mod relay;
mod steps;
mod table;
mod world;

use stateright::{Model, Property};

use crate::core::model::bounds::Bounds;
use crate::core::model::world::{Step, World};

impl Model for Bounds {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        world.writers_steps(self, steps);
        world.relays_steps(self, steps);
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
