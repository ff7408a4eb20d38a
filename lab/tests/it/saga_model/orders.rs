//! store-manager's part: its decisions and steps run as they are.

use proto::{
    Currency, Money, OrderId, PaymentId, ProductId, UserId,
    store::{orders::events::v1::order_event, stock::events::v1::stock_event},
};
use sqlx::types::time::OffsetDateTime;
use store_manager::domain::{
    order::{Failure, Order as Row, OrderState},
    saga::{Input, Outcome, Payment, Situation, Step},
    step::{Announcement, StockMove},
    stock::Line,
};
use uuid::Uuid;

use super::{
    bounds::{Bounds, Flaw},
    event::Event,
    world::{Order, World},
};

/// Ids decide nothing but whether a payment is the order's, which each is.
const ID: Uuid = Uuid::from_u128(7);

impl World {
    /// The command `CancelOrder`; one that is refused changes nothing.
    pub(super) fn cancel(&mut self, order: usize, bounds: &Bounds) {
        let situation = self.orders[order].placed();
        match situation.decide(Input::CancelOrder) {
            Outcome::Applies(Step::AskPayments) if bounds.has(Flaw::CancelsAlone) => {
                self.perform(order, Step::GiveStockBack(Failure::cancelled_by_caller()), bounds);
            }
            Outcome::Applies(step) | Outcome::TooLate(step) => {
                let is_undecided = step == Step::AskPayments;
                self.perform(order, step, bounds);
                if is_undecided && bounds.has(Flaw::AnnouncesTooEarly) {
                    self.orders[order].waiting.push(Event::OrderCancelled);
                }
            }
            Outcome::AlreadyDone | Outcome::Impossible => return,
        }
        self.orders[order].cancel_asked = true;
    }

    /// An event comes to an order.
    pub(super) fn advance(&mut self, order: usize, event: Event, bounds: &Bounds) {
        let situation = self.orders[order].placed();
        if event == Event::OrderCreated && bounds.has(Flaw::RepeatsCount) {
            return self.perform(order, Step::TakeStock, bounds);
        }
        if event == Event::StockIncreased && bounds.has(Flaw::RestocksTwice) {
            self.on_hand += 1;
        }
        match situation.decide(input(event)) {
            Outcome::Applies(step) | Outcome::TooLate(step) => self.perform(order, step, bounds),
            Outcome::AlreadyDone => {}
            Outcome::Impossible => self.orders[order].impossible = true,
        }
    }

    /// One transaction: the stock, the order's row, and what is announced.
    fn perform(&mut self, order: usize, step: Step, bounds: &Bounds) {
        let order = &mut self.orders[order];
        let mut row = row(order.placed());
        let effect = step.perform(&mut row, &[line(Some(self.on_hand))]);
        match effect.stock {
            StockMove::Stays | StockMove::CannotBeTaken => {}
            StockMove::Taken(changes) | StockMove::GivenBack(changes) => {
                self.on_hand = changes[0].quantity_after;
            }
            StockMove::CannotGoBack(_) => unreachable!("no product is ever removed here"),
        }
        row.saga_completed &= !bounds.has(Flaw::ForgetsTheEnd);
        order.situation = Some(Situation::from(&row));
        for announcement in effect.announcements {
            order.announce(announcement, bounds);
        }
    }
}

impl Order {
    /// The command `CreateOrder`.
    pub(super) fn place(&mut self) {
        self.situation = Some(Situation {
            state: OrderState::DecreasingStock,
            stock_taken: false,
            is_paid: false,
            payment_id: None,
            saga_completed: false,
        });
        self.waiting.push(Event::OrderCreated);
    }

    fn placed(&self) -> Situation {
        self.situation.expect("events and cancels are of orders that were placed")
    }

    fn announce(&mut self, announcement: Announcement, bounds: &Bounds) {
        use order_event::Event as Told;
        use stock_event::Event as Stock;
        let event = match announcement {
            Announcement::Order(envelope) => match envelope.event.expect("it holds an event") {
                Told::OrderCancellationRequested(_) => Event::OrderCancellationRequested,
                Told::OrderCancelled(_) => Event::OrderCancelled,
                Told::SagaCompleted(_) => {
                    self.sagas_completed += 1;
                    return;
                }
                Told::OrderCreated(_) | Told::OrderCreationFailed(_) => {
                    unreachable!("the command CreateOrder announces them")
                }
            },
            Announcement::Stock(envelope) => match envelope.event.expect("it holds an event") {
                Stock::StockDecreased(_) => Event::StockDecreased,
                Stock::StockDecreaseFailed(_) => Event::StockDecreaseFailed,
                Stock::StockIncreased(_) if bounds.has(Flaw::LosesAnEvent) => return,
                Stock::StockIncreased(_) => Event::StockIncreased,
                Stock::StockIncreaseFailed(_) | Stock::StockSet(_) => {
                    unreachable!("no product is ever removed, and nobody restocks")
                }
            },
        };
        self.waiting.push(event);
    }
}

pub(super) fn input(event: Event) -> Input {
    let payment_id = PaymentId(ID);
    match event {
        Event::OrderCreated => Input::OrderCreated,
        Event::OrderCancelled => Input::OrderCancelled,
        Event::StockDecreaseFailed => Input::StockDecreaseFailed,
        Event::StockIncreased => Input::StockIncreased,
        Event::PaymentCreated => {
            Input::PaymentCreated(Payment { payment_id, payment_link: String::new() })
        }
        Event::PaymentCreationFailed => Input::PaymentCreationFailed(payment_id, String::new()),
        Event::PaymentProcessed => Input::PaymentProcessed(payment_id),
        Event::PaymentCancelled => Input::PaymentCancelled(payment_id),
        Event::StockDecreased | Event::OrderCancellationRequested => {
            unreachable!("payments handles them")
        }
    }
}

/// The row with what decides, and nothing else: of a failure the first is kept, which no decision looks at while products stay.
pub(super) fn row(situation: Situation) -> Row {
    Row {
        order_id: OrderId(ID),
        user_id: UserId(ID),
        state: situation.state,
        total: Money::new(100, Currency::CAD),
        stock_taken: situation.stock_taken,
        is_paid: situation.is_paid,
        payment_id: situation.payment_id,
        payment_link: None,
        failure: None,
        saga_completed: situation.saga_completed,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub(super) fn line(on_hand: Option<i64>) -> Line {
    Line { product_id: ProductId(ID), quantity: 1, on_hand, version: on_hand.map(|_| 0) }
}
