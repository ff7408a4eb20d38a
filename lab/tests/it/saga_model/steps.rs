//! What may happen next, and what it does.

use payments::domain::ProviderCall;

use super::{
    bounds::Bounds,
    event::Event,
    world::{Answer, Order, World},
};

/// One step of anybody. `order` is its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The caller orders.
    Place { order: usize },
    /// The caller cancels.
    Cancel { order: usize },
    /// The caller pays.
    Pay { order: usize },
    /// The next event of a topic is handled.
    Handle { order: usize, event: Event },
    /// An event that was handled comes again: its offset was not committed, or the relay has sent it twice.
    HandleAgain { order: usize, event: Event },
    /// The worker calls the provider; whether that accepts is up to it, where it has not said before.
    Call { order: usize, accepts: bool },
    /// The worker writes the answer down.
    Record { order: usize, answer: Answer },
    /// The worker dies, and with it an answer.
    Forget { order: usize, answer: Answer },
}

impl World {
    /// What may happen next.
    pub(super) fn steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        for (index, order) in self.orders.iter().enumerate() {
            order.steps(index, bounds, steps);
        }
    }

    /// The world after a step.
    pub(super) fn after(mut self, step: Step, bounds: &Bounds) -> Self {
        match step {
            Step::Place { order } => self.orders[order].place(),
            Step::Cancel { order } => self.cancel(order, bounds),
            Step::Pay { order } => self.orders[order].pay(),
            Step::Handle { order, event } => {
                self.orders[order].take(event, bounds);
                self.handle(order, event, bounds);
            }
            Step::HandleAgain { order, event } => self.handle(order, event, bounds),
            Step::Call { order, accepts } => self.orders[order].call(accepts, bounds),
            Step::Record { order, answer } => {
                self.orders[order].answers.remove(&answer);
                self.orders[order].record(answer);
            }
            Step::Forget { order, answer } => {
                self.orders[order].answers.remove(&answer);
            }
        }
        self.normalised()
    }

    /// The transaction of a consumer.
    fn handle(&mut self, order: usize, event: Event, bounds: &Bounds) {
        match event {
            Event::StockDecreased => self.orders[order].stock_decreased(),
            Event::OrderCancellationRequested => self.orders[order].cancellation_requested(),
            Event::OrderCreated
            | Event::OrderCancelled
            | Event::StockDecreaseFailed
            | Event::StockIncreased
            | Event::PaymentCreated
            | Event::PaymentCreationFailed
            | Event::PaymentProcessed
            | Event::PaymentCancelled => self.advance(order, event, bounds),
        }
    }
}

impl Order {
    fn steps(&self, order: usize, bounds: &Bounds, steps: &mut Vec<Step>) {
        if self.situation.is_none() {
            steps.push(Step::Place { order });
            return;
        }
        steps.push(Step::Cancel { order });
        if self.payment.is_some() {
            steps.push(Step::Pay { order });
        }
        for (place, &event) in self.waiting.iter().enumerate() {
            let is_next = self.waiting[..place].iter().all(|before| before.lane() != event.lane());
            if is_next {
                steps.push(Step::Handle { order, event });
            }
        }
        // With an inbox, an event that comes again changes nothing.
        if !bounds.inbox {
            steps.extend(self.handled.iter().map(|&event| Step::HandleAgain { order, event }));
        }
        if let Some(call) = self.owed_call() {
            steps.push(Step::Call { order, accepts: true });
            if call == ProviderCall::Authorise && self.ledger.is_empty() {
                steps.push(Step::Call { order, accepts: false });
            }
        }
        for &answer in &self.answers {
            steps.extend([Step::Record { order, answer }, Step::Forget { order, answer }]);
        }
    }

    /// Takes an event out of its line.
    fn take(&mut self, event: Event, bounds: &Bounds) {
        let place = self.waiting.iter().position(|waiting| *waiting == event);
        self.waiting.remove(place.expect("an event that is handled has waited"));
        if !bounds.inbox {
            self.handled.insert(event);
        }
    }
}
