//! store-manager's part: its decisions run as they are, and each step does to the row what `store-manager/src/steps/` does.

use proto::{Currency, Money, OrderId, PaymentId, ProductId, UserId};
use sqlx::types::time::OffsetDateTime;
use store_manager::domain::{
    order::{Failure, Order as Row, OrderState},
    saga::{Input, Outcome, Payment, Situation, Step},
    stock::{Line, give_back, take},
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
                self.perform(order, Step::GiveStockBack(Failure::cancelled_by_caller()));
            }
            Outcome::Applies(step) | Outcome::TooLate(step) => self.perform(order, step),
            Outcome::AlreadyDone | Outcome::Impossible => return,
        }
        self.orders[order].cancel_asked = true;
    }

    /// An event comes to an order.
    pub(super) fn advance(&mut self, order: usize, event: Event, bounds: &Bounds) {
        let situation = self.orders[order].placed();
        if event == Event::OrderCreated && bounds.has(Flaw::RepeatsCount) {
            return self.perform(order, Step::TakeStock);
        }
        if event == Event::StockIncreased && bounds.has(Flaw::RestocksTwice) {
            self.on_hand += 1;
        }
        match situation.decide(input(event)) {
            Outcome::Applies(step) | Outcome::TooLate(step) => self.perform(order, step),
            Outcome::AlreadyDone => {}
            Outcome::Impossible => self.orders[order].impossible = true,
        }
    }

    /// One transaction: the stock, the order's row, and what is announced.
    fn perform(&mut self, order: usize, step: Step) {
        let lines = [line(self.on_hand)];
        let order = &mut self.orders[order];
        let mut row = row(order.placed());
        match step {
            Step::TakeStock => match take(&lines) {
                Ok(changes) => {
                    self.on_hand = changes[0].quantity_after;
                    row.take_stock();
                    order.waiting.push(Event::StockDecreased);
                }
                Err(shortage) => {
                    let (id, required) = (shortage.product_id, shortage.required);
                    row.start_cancelling(Failure::insufficient_stock(
                        id,
                        shortage.available,
                        required,
                    ));
                    order.waiting.push(Event::StockDecreaseFailed);
                }
            },
            Step::GiveStockBack(failure) => {
                let changes = give_back(&lines).expect("no product is ever removed here");
                self.on_hand = changes[0].quantity_after;
                row.give_stock_back(failure);
                order.waiting.push(Event::StockIncreased);
            }
            Step::Complete(payment) => {
                row.complete(payment);
                order.end_saga(&mut row);
            }
            Step::NotePayment(payment) => row.note_payment(payment),
            Step::VoidPayment(payment) => {
                row.note_payment(payment);
                order.waiting.push(Event::OrderCancellationRequested);
            }
            Step::Pay(payment_id) => {
                row.pay(payment_id);
                order.end_saga(&mut row);
            }
            Step::AskPayments => {
                row.start_cancelling(Failure::cancelled_by_caller());
                order.waiting.push(Event::OrderCancellationRequested);
            }
            Step::Cancel => {
                row.cancel(Failure::cancelled_by_caller());
                order.waiting.push(Event::OrderCancelled);
            }
            Step::EndSaga => order.end_saga(&mut row),
        }
        order.situation = Some(Situation::from(&row));
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

    fn end_saga(&mut self, row: &mut Row) {
        self.sagas_completed += u8::from(row.end_saga());
    }
}

fn input(event: Event) -> Input {
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
fn row(situation: Situation) -> Row {
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

fn line(on_hand: i64) -> Line {
    Line { product_id: ProductId(ID), quantity: 1, on_hand: Some(on_hand), version: Some(0) }
}
