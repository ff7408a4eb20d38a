//! Payments' part: its decisions and the rules of the provider's ledger run as they are.

use payments::{
    domain::{Outcome, Payment as Row, PaymentInput, ProviderCall},
    provider::ledger,
};
use proto::{
    Currency, Money, OrderId, UserId,
    store::payments::events::v1::{PaymentEvent, payment_event},
};
use uuid::Uuid;

use super::{
    bounds::{Bounds, Flaw},
    event::Event,
    world::{Answer, Entry, Order, Payment},
};

impl Order {
    /// The handler of `StockDecreased`: the first event about an order makes the row.
    pub(super) fn stock_decreased(&mut self) {
        match self.row() {
            None => self.payment = Some(kept(&requested())),
            Some(row) => match row.apply(PaymentInput::StockDecreased) {
                Ok(Outcome::AlreadyDone(_) | Outcome::TooLate(_)) => {}
                Ok(Outcome::Changed { .. }) | Err(_) => self.impossible = true,
            },
        }
    }

    /// The handler of `OrderCancellationRequested`.
    pub(super) fn cancellation_requested(&mut self) {
        match self.row() {
            None => {
                let (order_id, user_id, amount) = about();
                let (payment, announcement) = Row::cancelled(order_id, user_id, amount);
                self.payment = Some(kept(&payment));
                self.waiting.push(event(announcement));
            }
            Some(row) => self.apply(row, PaymentInput::OrderCancellationRequested),
        }
    }

    /// The command `ProcessPayment`; one that is refused changes nothing.
    pub(super) fn pay(&mut self) {
        let Some(row) = self.row() else { return };
        if row.clone().apply(PaymentInput::ProcessPayment).is_ok() {
            self.apply(row, PaymentInput::ProcessPayment);
        }
    }

    /// What the worker owes the provider.
    pub(super) fn owed_call(&self) -> Option<ProviderCall> {
        self.row().and_then(|row| row.owed_call())
    }

    /// The provider does as it is asked, in a transaction of its own; its answer is on its way.
    pub(super) fn call(&mut self, accepts: bool, bounds: &Bounds) {
        let entries: Vec<_> = self.ledger.iter().map(|entry| entry.as_ledger()).collect();
        let (answer, entry) = match self.owed_call() {
            None => return,
            Some(ProviderCall::Authorise) => {
                let judge = if accepts { Entry::Authorised } else { Entry::Declined };
                let (answer, entry) = ledger::authorise(&entries, || judge.as_ledger());
                let is_accepted = answer == ledger::Entry::Authorised;
                (if is_accepted { Answer::Accepted } else { Answer::Refused }, entry)
            }
            Some(ProviderCall::Capture) if bounds.has(Flaw::ChargesAgain) && self.charges() < 2 => {
                (Answer::Captured, Some(ledger::Entry::Captured))
            }
            Some(ProviderCall::Capture) => match ledger::capture(&entries) {
                Ok(entry) => (Answer::Captured, entry),
                Err(_) => return self.impossible = true,
            },
            Some(ProviderCall::Void) => match ledger::void(&entries) {
                Ok(entry) => (Answer::Voided, entry),
                Err(_) => return self.impossible = true,
            },
        };
        self.ledger.extend(entry.map(Entry::from));
        self.answers.insert(answer);
    }

    /// The worker writes an answer down.
    pub(super) fn record(&mut self, answer: Answer) {
        let input = match answer {
            Answer::Accepted => PaymentInput::ProviderAccepted { payment_link: String::new() },
            Answer::Refused => PaymentInput::ProviderRefused { reason: String::new() },
            Answer::Captured => PaymentInput::ProviderCaptured,
            Answer::Voided => PaymentInput::ProviderVoided,
        };
        let row = self.row().expect("the provider is asked about payments that there are");
        self.apply(row, input);
    }

    fn apply(&mut self, row: Row, input: PaymentInput) {
        match row.apply(input) {
            Ok(Outcome::Changed { payment, announcement }) => {
                self.payment = Some(kept(&payment));
                self.waiting.extend(announcement.map(event));
            }
            Ok(Outcome::AlreadyDone(_) | Outcome::TooLate(_)) => {}
            Err(_) => self.impossible = true,
        }
    }

    fn row(&self) -> Option<Row> {
        let Payment { state, settled, has_link } = self.payment?;
        let payment_link = has_link.then(String::new);
        Some(Row { state, settled, payment_link, ..requested() })
    }
}

impl From<ledger::Entry> for Entry {
    fn from(entry: ledger::Entry) -> Self {
        match entry {
            ledger::Entry::Authorised => Self::Authorised,
            ledger::Entry::Declined(_) => Self::Declined,
            ledger::Entry::Captured => Self::Captured,
            ledger::Entry::Voided => Self::Voided,
        }
    }
}

impl Entry {
    fn as_ledger(self) -> ledger::Entry {
        match self {
            Self::Authorised => ledger::Entry::Authorised,
            Self::Declined => ledger::Entry::Declined(String::new()),
            Self::Captured => ledger::Entry::Captured,
            Self::Voided => ledger::Entry::Voided,
        }
    }
}

fn event(announcement: PaymentEvent) -> Event {
    match announcement.event.expect("an announcement holds an event") {
        payment_event::Event::PaymentCreated(_) => Event::PaymentCreated,
        payment_event::Event::PaymentCreationFailed(_) => Event::PaymentCreationFailed,
        payment_event::Event::PaymentProcessed(_) => Event::PaymentProcessed,
        payment_event::Event::PaymentCancelled(_) => Event::PaymentCancelled,
    }
}

fn requested() -> Row {
    let (order_id, user_id, amount) = about();
    Row::requested(order_id, user_id, amount)
}

fn about() -> (OrderId, UserId, Money) {
    (OrderId(Uuid::nil()), UserId(Uuid::nil()), Money::new(100, Currency::CAD))
}

fn kept(row: &Row) -> Payment {
    Payment { state: row.state, settled: row.settled, has_link: row.payment_link.is_some() }
}
