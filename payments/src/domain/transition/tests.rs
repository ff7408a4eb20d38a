//! Every pair of state and input, written down once more as a table.

use proto::{Currency, Event, Money, OrderId, UserId};

use super::*;
use crate::domain::ProviderCall;

use PaymentState::{CancelRequested, Cancelled, Paid, Pending, Refused, Requested};

/// What a pair is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Changes to the state, settled or not, announcing the event of this name.
    Changes(PaymentState, bool, Option<&'static str>),
    AlreadyDone,
    TooLate,
    Illegal,
}

use Expected::{AlreadyDone, Changes, Illegal, TooLate};

const CREATED: Option<&str> = Some("PaymentCreated");
const FAILED: Option<&str> = Some("PaymentCreationFailed");
const PROCESSED: Option<&str> = Some("PaymentProcessed");
const CANCELLED: Option<&str> = Some("PaymentCancelled");

/// For each input its outcome in the states of [`PaymentState::ALL`], in that order:
/// requested, cancel requested, pending, paid, refused, cancelled.
fn table() -> [(PaymentInput, [Expected; 6]); 7] {
    [
        (
            PaymentInput::StockDecreased,
            [AlreadyDone, AlreadyDone, AlreadyDone, AlreadyDone, AlreadyDone, TooLate],
        ),
        (
            PaymentInput::OrderCancellationRequested,
            [
                Changes(CancelRequested, false, None),
                AlreadyDone,
                Changes(Cancelled, false, CANCELLED),
                TooLate,
                TooLate,
                AlreadyDone,
            ],
        ),
        (
            PaymentInput::ProcessPayment,
            [Illegal, Illegal, Changes(Paid, false, PROCESSED), AlreadyDone, Illegal, Illegal],
        ),
        (
            PaymentInput::ProviderAccepted { payment_link: String::from("link") },
            [Changes(Pending, true, CREATED), TooLate, AlreadyDone, AlreadyDone, Illegal, TooLate],
        ),
        (
            PaymentInput::ProviderRefused { reason: String::from("too much") },
            [Changes(Refused, true, FAILED), TooLate, Illegal, Illegal, AlreadyDone, TooLate],
        ),
        (
            PaymentInput::ProviderCaptured,
            [Illegal, Illegal, Illegal, Changes(Paid, true, None), Illegal, Illegal],
        ),
        (
            PaymentInput::ProviderVoided,
            [
                Illegal,
                Changes(Cancelled, true, CANCELLED),
                Illegal,
                Illegal,
                Illegal,
                Changes(Cancelled, true, None),
            ],
        ),
    ]
}

/// A payment in this state that owes the provider what the state can owe.
fn payment(state: PaymentState) -> Payment {
    let amount = Money::new(7_100, Currency::CAD);
    let payment = Payment::requested(OrderId::new(), UserId::new(), amount);
    let settled = matches!(state, Pending | Refused);
    let payment_link = matches!(state, Pending | Paid).then(|| String::from("link"));
    Payment { state, settled, payment_link, ..payment }
}

fn event_name(event: &PaymentEvent) -> String {
    let full_name = event.event_type().expect("an announcement is never empty");
    full_name.rsplit('.').next().expect("a split has a last part").to_owned()
}

#[test]
fn every_pair_of_state_and_input_has_its_written_outcome() {
    for (input, row) in table() {
        for (state, expected) in PaymentState::ALL.into_iter().zip(row) {
            let before = payment(state);
            let pair = format!("{state} on {}", input.name());
            match before.clone().apply(input.clone()) {
                Ok(Outcome::Changed { payment, announcement }) => {
                    let event = announcement.as_ref().map(event_name);
                    let Changes(state, settled, expected_event) = expected else {
                        panic!("{pair}: changed to {payment:?}");
                    };
                    assert_eq!((payment.state, payment.settled), (state, settled), "{pair}");
                    assert_eq!(event.as_deref(), expected_event, "{pair}");
                    let key = announcement.as_ref().and_then(Event::key).map(str::to_owned);
                    assert!(key.is_none_or(|key| key == before.order_id.to_string()), "{pair}");
                    assert_eq!(
                        (payment.payment_id, payment.amount),
                        (before.payment_id, before.amount)
                    );
                }
                Ok(Outcome::AlreadyDone(after)) => {
                    assert_eq!((expected, after), (AlreadyDone, before), "{pair}");
                }
                Ok(Outcome::TooLate(after)) => {
                    assert_eq!((expected, after), (TooLate, before), "{pair}");
                }
                Err(error) => {
                    assert_eq!(expected, Illegal, "{pair}");
                    assert_eq!(error, IllegalTransition { state, input: input.name() });
                }
            }
        }
    }
}

#[test]
fn what_is_owed_to_the_provider_follows_from_the_state() {
    for (state, call) in [
        (Requested, Some(ProviderCall::Authorise)),
        (CancelRequested, Some(ProviderCall::Void)),
        (Pending, None),
        (Paid, Some(ProviderCall::Capture)),
        (Refused, None),
        (Cancelled, Some(ProviderCall::Void)),
    ] {
        assert_eq!(payment(state).owed_call(), call, "{state}");
        assert_eq!(Payment { settled: true, ..payment(state) }.owed_call(), None, "{state}");
    }
}

#[test]
fn an_agreement_repeated_changes_nothing() {
    for (state, input) in
        [(Paid, PaymentInput::ProviderCaptured), (Cancelled, PaymentInput::ProviderVoided)]
    {
        let settled = Payment { settled: true, ..payment(state) };
        assert_eq!(settled.clone().apply(input), Ok(Outcome::AlreadyDone(settled)));
    }
}
