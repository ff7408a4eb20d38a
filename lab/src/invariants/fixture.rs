//! A small store at rest, in which every invariant holds: for tests that break it.

use proto::{
    Currency, Event, Money,
    store::{
        orders::events::v1::{
            OrderCancellationRequested, OrderCancelled, OrderCreated, OrderCreationFailed,
            OrderEvent, SagaCompleted, saga_completed::Outcome,
        },
        payments::events::v1::{PaymentCancelled, PaymentCreated, PaymentEvent, PaymentProcessed},
        stock::events::v1::{StockDecreased, StockEvent, StockIncreased, StockLine, StockSet},
    },
};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    audit::{
        Handled, LedgerEntry, LedgerKind, Order, OrderLine, OrderState, Owner, Payment,
        PaymentState, Position, ReachedState, Record, Row, Snapshot, Stock,
    },
    history::{Answer, Command, History, Invocation, Reply},
};

/// What an order of one costs.
pub(super) const PRICE: i64 = 500;
pub(super) const USER: Uuid = Uuid::from_u128(1);
pub(super) const PRODUCT: Uuid = Uuid::from_u128(9);

/// The store, and what its callers were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) snapshot: Snapshot,
    pub(super) history: History,
    quantity: i64,
    version: i64,
}

pub(super) fn id(number: u32) -> Uuid {
    Uuid::from_u128(number.into())
}

/// The payment of an order.
pub(super) fn payment_of(order: u32) -> Uuid {
    id(order + 100)
}

/// A moment after the first call; each row has a later one than the row before.
fn moment(rows: usize) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(1 + i64::try_from(rows).unwrap())
}

/// As the relay makes them, in a span of its own.
fn headers(row: &Row) -> Vec<(String, String)> {
    let trace =
        row.traceparent.as_deref().unwrap().replace("-0000000000000001-", "-0000000000000002-");
    let headers = [
        ("ce_id", Some(row.event_id.to_string())),
        ("ce_type", Some(row.event_type.clone())),
        ("ce_source", Some(row.source.clone())),
        ("ce_subject", Some(row.subject.clone())),
        ("ce_time", Some(row.created_at.format(&Rfc3339).unwrap())),
        ("ce_correlationid", row.correlation.clone()),
        ("ce_causationid", row.cause.map(|cause| cause.to_string())),
        ("traceparent", Some(trace)),
    ];
    headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn amount(minor: i64) -> Option<proto::google::r#type::Money> {
    Some(Money::new(minor, Currency::CAD).into())
}

impl Store {
    pub(super) fn call(&mut self, command: Command, answer: Answer) {
        self.call_at(OffsetDateTime::UNIX_EPOCH, command, answer);
    }

    /// A call, and its answer, after everything that has happened so far.
    pub(super) fn call_after_all(&mut self, command: Command, answer: Answer) {
        self.call_at(moment(self.snapshot.outbox.len()), command, answer);
    }

    pub(super) fn call_at(&mut self, at: OffsetDateTime, command: Command, answer: Answer) {
        let began = at.into();
        self.history.invocations.push(Invocation { command, began, ended: Some(began), answer });
    }

    /// When the last event of this name was announced.
    pub(super) fn last_of(&self, event_name: &str) -> OffsetDateTime {
        let mut rows = self.snapshot.outbox.iter().rev();
        rows.find(|row| row.event_name() == event_name).unwrap().created_at
    }

    pub(super) fn order(&mut self, number: u32) -> &mut Order {
        self.snapshot.orders.iter_mut().find(|order| order.order_id == id(number)).unwrap()
    }

    pub(super) fn payment(&mut self, number: u32) -> &mut Payment {
        let mut payments = self.snapshot.payments.iter_mut();
        payments.find(|payment| payment.order_id == id(number)).unwrap()
    }

    /// Writes an event to its outbox and publishes it; who reads it has handled it.
    pub(super) fn announce<E: Event>(&mut self, cause: Option<Uuid>, event: E) -> Uuid {
        let row = self.write(cause, event);
        self.publish(&row);
        row.event_id
    }

    pub(super) fn write<E: Event>(&mut self, cause: Option<Uuid>, event: E) -> Row {
        let owner = Owner::ALL.into_iter().find(|owner| owner.name() == E::SOURCE).unwrap();
        let rows = self.snapshot.outbox.len();
        let row = Row {
            owner,
            sequence: i64::try_from(rows).unwrap() + 1,
            event_id: id(1_000_000 + u32::try_from(rows).unwrap()),
            topic: E::TOPIC.to_owned(),
            key: event.key().unwrap().to_owned(),
            event_type: event.event_type().unwrap(),
            source: E::SOURCE.to_owned(),
            subject: event.key().unwrap().to_owned(),
            correlation: Some(event.key().unwrap().to_owned()),
            cause,
            traceparent: Some(format!("00-{rows:032x}-{:016x}-01", 1)),
            created_at: moment(rows),
            payload: event.encode_to_vec(),
        };
        self.snapshot.outbox.push(row.clone());
        row
    }

    pub(super) fn publish(&mut self, row: &Row) {
        let offset =
            self.snapshot.records.iter().filter(|record| record.topic == row.topic).count();
        self.snapshot.records.push(Record {
            topic: row.topic.clone(),
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
            key: row.key.clone(),
            headers: headers(row),
            payload: row.payload.clone(),
        });
        for by in Owner::ALL.into_iter().filter(|by| by.reads().contains(&row.topic.as_str())) {
            let handled = Handled { by, event_id: row.event_id, handled_at: row.created_at };
            if !self.snapshot.inbox.contains(&handled) {
                self.snapshot.inbox.push(handled);
            }
            let (topic, offset) = (row.topic.clone(), i64::try_from(offset).unwrap() + 1);
            self.snapshot.positions.push(Position { reader: by, topic, partition: 0, offset });
        }
    }

    /// Changes a row of the outbox, and what the relay has made of it.
    pub(super) fn rewrite(&mut self, row: usize, change: impl FnOnce(&mut Row)) {
        let row = &mut self.snapshot.outbox[row];
        change(row);
        let mut records = self.snapshot.records.iter_mut();
        let record = records.find(|record| record.event_id() == Some(row.event_id)).unwrap();
        (record.headers, record.payload) = (headers(row), row.payload.clone());
    }

    /// Where in the outbox an order's event stands.
    pub(super) fn row_of(&self, order: u32, name: &str) -> usize {
        let key = id(order).to_string();
        let mut rows = self.snapshot.outbox.iter();
        rows.position(|row| row.key == key && row.event_name() == name).unwrap()
    }

    pub(super) fn set_stock(&mut self, difference: i64) -> Reply {
        let line = self.change(difference, difference);
        self.announce(None, StockEvent::from(StockSet { line: Some(line) }));
        let Self { quantity, version, .. } = *self;
        Reply::Stock { product_id: PRODUCT, quantity, version }
    }

    fn change(&mut self, difference: i64, told: i64) -> StockLine {
        (self.quantity, self.version) = (self.quantity + difference, self.version + 1);
        let (quantity_after, stock_version) = (self.quantity, self.version);
        self.snapshot.stock =
            vec![Stock { product_id: PRODUCT, quantity: self.quantity, version: self.version }];
        let product_id = PRODUCT.to_string();
        StockLine { product_id, quantity: told, quantity_after, stock_version }
    }

    pub(super) fn place(&mut self, number: u32, quantity: i32) -> Uuid {
        let (order_id, total_minor) = (id(number), PRICE * i64::from(quantity));
        let created_at = moment(self.snapshot.outbox.len());
        self.snapshot.orders.push(Order {
            order_id,
            user_id: USER,
            state: OrderState::DecreasingStock,
            total_minor,
            currency: "CAD".to_owned(),
            stock_taken: false,
            is_paid: false,
            payment_id: None,
            failure_reason: None,
            created_at,
        });
        self.snapshot.lines.push(OrderLine {
            order_id,
            product_id: PRODUCT,
            quantity,
            unit_price_minor: PRICE,
        });
        self.reach(number, OrderState::DecreasingStock);
        let event = OrderCreated { order_id: order_id.to_string(), ..OrderCreated::default() };
        self.announce(None, OrderEvent::from(event))
    }

    pub(super) fn reach(&mut self, number: u32, state: OrderState) {
        self.order(number).state = state;
        self.snapshot.order_states.push(ReachedState { order_id: id(number), state });
    }

    pub(super) fn fail(&mut self, number: u32, state: OrderState, reason: &str) {
        self.reach(number, state);
        self.order(number).failure_reason = Some(reason.to_owned());
    }

    pub(super) fn take_stock(&mut self, number: u32, cause: Uuid) -> Uuid {
        let quantity = self.order(number).total_minor / PRICE;
        let line = self.change(-quantity, quantity);
        self.order(number).stock_taken = true;
        self.reach(number, OrderState::CreatingPayment);
        let order_id = id(number).to_string();
        let event = StockDecreased { order_id, lines: vec![line], ..StockDecreased::default() };
        self.announce(Some(cause), StockEvent::from(event))
    }

    /// Gives the stock back, and cancels the order.
    pub(super) fn give_back(&mut self, number: u32, cause: Uuid) {
        let quantity = self.order(number).total_minor / PRICE;
        let lines = vec![self.change(quantity, quantity)];
        self.order(number).stock_taken = false;
        let event = StockIncreased { order_id: id(number).to_string(), lines };
        let given_back = self.announce(Some(cause), StockEvent::from(event));
        self.cancel(number, Some(given_back));
    }

    pub(super) fn cancel(&mut self, number: u32, cause: Option<Uuid>) {
        self.reach(number, OrderState::Cancelled);
        let order_id = id(number).to_string();
        let event = OrderCancelled { order_id, failure: None };
        let cancelled = self.announce(cause, OrderEvent::from(event));
        let completed = self
            .snapshot
            .order_states
            .contains(&ReachedState { order_id: id(number), state: OrderState::Completed });
        if !completed {
            self.end(number, Some(cancelled), Outcome::Failed);
        }
    }

    pub(super) fn end(&mut self, number: u32, cause: Option<Uuid>, outcome: Outcome) -> Uuid {
        let order_id = id(number).to_string();
        let event = SagaCompleted { order_id, outcome: outcome.into(), failure: None };
        self.announce(cause, OrderEvent::from(event))
    }

    /// The provider has answered; the order completes if it has accepted.
    pub(super) fn pay_for(&mut self, number: u32, state: PaymentState) {
        let (amount_minor, currency) = (self.order(number).total_minor, "CAD".to_owned());
        let (payment_id, order_id) = (payment_of(number), id(number));
        let user_id = self.order(number).user_id;
        let payment =
            Payment { payment_id, order_id, user_id, amount_minor, currency, state, settled: true };
        self.snapshot.payments.push(payment);
    }

    pub(super) fn note(&mut self, number: u32, kind: LedgerKind) {
        let (amount_minor, currency) = (self.order(number).total_minor, "CAD".to_owned());
        let (payment_id, order_id) = (payment_of(number), id(number));
        let entry = LedgerEntry { payment_id, order_id, kind, amount_minor, currency };
        self.snapshot.ledger.push(entry);
    }

    /// An order that all goes well with.
    pub(super) fn complete(&mut self, number: u32, quantity: i32) {
        let created = self.place(number, quantity);
        let taken = self.take_stock(number, created);
        self.pay_for(number, PaymentState::Pending);
        self.note(number, LedgerKind::Authorised);
        let event = PaymentCreated {
            order_id: id(number).to_string(),
            payment_id: payment_of(number).to_string(),
            amount: amount(self.order(number).total_minor),
            ..PaymentCreated::default()
        };
        let accepted = self.announce(Some(taken), PaymentEvent::from(event));
        self.order(number).payment_id = Some(payment_of(number));
        self.reach(number, OrderState::Completed);
        self.end(number, Some(accepted), Outcome::Succeeded);
    }

    pub(super) fn pay(&mut self, number: u32) {
        self.payment(number).state = PaymentState::Paid;
        self.note(number, LedgerKind::Captured);
        let event = PaymentProcessed {
            order_id: id(number).to_string(),
            payment_id: payment_of(number).to_string(),
            ..PaymentProcessed::default()
        };
        self.announce(None, PaymentEvent::from(event));
        self.order(number).is_paid = true;
    }

    /// A completed order that its caller cancels.
    pub(super) fn cancel_completed(&mut self, number: u32) {
        self.fail(number, OrderState::Cancelling, "CANCELLED_BY_CALLER");
        let order_id = id(number).to_string();
        let event = OrderCancellationRequested {
            order_id: order_id.clone(),
            ..OrderCancellationRequested::default()
        };
        let asked = self.announce(None, OrderEvent::from(event));
        self.payment(number).state = PaymentState::Cancelled;
        self.note(number, LedgerKind::Voided);
        let event = PaymentCancelled { order_id, payment_id: payment_of(number).to_string() };
        let cancelled = self.announce(Some(asked), PaymentEvent::from(event));
        self.give_back(number, cancelled);
    }

    /// An order that was asked for and could not be placed.
    pub(super) fn refuse(&mut self, number: u32) {
        let order_id = id(number).to_string();
        let event = OrderCreationFailed { order_id, ..OrderCreationFailed::default() };
        self.announce(None, OrderEvent::from(event));
        self.end(number, None, Outcome::Failed);
    }
}
