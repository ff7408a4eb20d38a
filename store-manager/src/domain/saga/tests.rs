//! Every situation an order can be in, with every input, and what is expected of it.

use proto::PaymentId;

use super::{Failure, Input, OrderState, Outcome, Payment, Situation, Step};
use Outcome::{AlreadyDone, Applies, Impossible, TooLate};

const PAYMENT_ID: PaymentId = PaymentId(uuid::Uuid::from_u128(7));

fn payment() -> Payment {
    Payment { payment_id: PAYMENT_ID, payment_link: "https://pay.example/7".to_owned() }
}

fn inputs() -> [Input; 9] {
    [
        Input::OrderCreated,
        Input::StockDecreaseFailed,
        Input::StockIncreased,
        Input::OrderCancelled,
        Input::PaymentCreated(payment()),
        Input::PaymentCreationFailed(PAYMENT_ID, "declined".to_owned()),
        Input::PaymentProcessed(PAYMENT_ID),
        Input::PaymentCancelled(PAYMENT_ID),
        Input::CancelOrder,
    ]
}

fn refused() -> Step {
    Step::GiveStockBack(Failure::payment_refused("declined".to_owned()))
}

fn cancelled() -> Step {
    Step::GiveStockBack(Failure::cancelled_by_caller())
}

/// A state with the flags that matter in it, and the outcomes in the order of [`inputs`].
struct Row {
    situation: Situation,
    outcomes: [Outcome; 9],
}

const fn situation(
    state: OrderState,
    stock_taken: bool,
    is_paid: bool,
    payment_known: bool,
    saga_completed: bool,
) -> Situation {
    let payment_id = if payment_known { Some(PAYMENT_ID) } else { None };
    Situation { state, stock_taken, is_paid, payment_id, saga_completed }
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn table() -> [Row; 13] {
    [
        Row {
            situation: situation(OrderState::DecreasingStock, false, false, false, false),
            outcomes: [
                Applies(Step::TakeStock),
                Impossible,
                Impossible,
                Impossible,
                Impossible,
                Impossible,
                Impossible,
                Impossible,
                Applies(Step::Cancel),
            ],
        },
        Row {
            situation: situation(OrderState::CreatingPayment, true, false, false, false),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                Applies(Step::Complete(payment())),
                Applies(refused()),
                Impossible,
                Impossible,
                Applies(Step::AskPayments),
            ],
        },
        Row {
            situation: situation(OrderState::Completed, true, false, true, true),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                AlreadyDone,
                Impossible,
                Applies(Step::Pay(PAYMENT_ID)),
                Impossible,
                Applies(Step::AskPayments),
            ],
        },
        Row {
            situation: situation(OrderState::Completed, true, true, true, true),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                AlreadyDone,
                Impossible,
                AlreadyDone,
                Impossible,
                Impossible,
            ],
        },
        // A line was short, or the payment was refused and the lines are back.
        Row {
            situation: situation(OrderState::Cancelling, false, false, false, false),
            outcomes: [
                AlreadyDone,
                Applies(Step::Cancel),
                Applies(Step::Cancel),
                Impossible,
                Applies(Step::NotePayment(payment())),
                AlreadyDone,
                Impossible,
                AlreadyDone,
                AlreadyDone,
            ],
        },
        // Payments cancelled, the lines are back.
        Row {
            situation: situation(OrderState::Cancelling, false, false, true, true),
            outcomes: [
                AlreadyDone,
                Applies(Step::Cancel),
                Applies(Step::Cancel),
                Impossible,
                AlreadyDone,
                AlreadyDone,
                Impossible,
                AlreadyDone,
                AlreadyDone,
            ],
        },
        // The caller cancelled while the payment was being created.
        Row {
            situation: situation(OrderState::Cancelling, true, false, false, false),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                Applies(Step::NotePayment(payment())),
                Applies(refused()),
                Applies(Step::Pay(PAYMENT_ID)),
                Applies(cancelled()),
                AlreadyDone,
            ],
        },
        // The caller cancelled a completed order.
        Row {
            situation: situation(OrderState::Cancelling, true, false, true, true),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                AlreadyDone,
                Applies(refused()),
                Applies(Step::Pay(PAYMENT_ID)),
                Applies(cancelled()),
                AlreadyDone,
            ],
        },
        Row {
            situation: situation(OrderState::Cancelled, false, false, false, false),
            outcomes: [
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                Applies(Step::EndSaga),
                TooLate(Step::VoidPayment(payment())),
                AlreadyDone,
                Impossible,
                AlreadyDone,
                AlreadyDone,
            ],
        },
        Row {
            situation: situation(OrderState::Cancelled, false, false, false, true),
            outcomes: [
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                TooLate(Step::VoidPayment(payment())),
                AlreadyDone,
                Impossible,
                AlreadyDone,
                AlreadyDone,
            ],
        },
        Row {
            situation: situation(OrderState::Cancelled, false, false, true, true),
            outcomes: [
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                AlreadyDone,
                Impossible,
                AlreadyDone,
                AlreadyDone,
            ],
        },
        Row {
            situation: situation(OrderState::NeedsAttention, true, false, false, true),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                Applies(Step::NotePayment(payment())),
                AlreadyDone,
                Impossible,
                AlreadyDone,
                Applies(cancelled()),
            ],
        },
        Row {
            situation: situation(OrderState::NeedsAttention, true, false, true, true),
            outcomes: [
                AlreadyDone,
                Impossible,
                Impossible,
                Impossible,
                AlreadyDone,
                AlreadyDone,
                Impossible,
                AlreadyDone,
                Applies(cancelled()),
            ],
        },
    ]
}

#[test]
fn every_pair_of_situation_and_input_has_its_outcome() {
    for Row { situation, outcomes } in table() {
        for (input, expected) in inputs().into_iter().zip(outcomes) {
            assert_eq!(situation.decide(input.clone()), expected, "{situation:?} x {input:?}");
        }
    }
}

#[test]
fn the_table_has_every_state() {
    for state in [
        OrderState::DecreasingStock,
        OrderState::CreatingPayment,
        OrderState::Completed,
        OrderState::Cancelling,
        OrderState::Cancelled,
        OrderState::NeedsAttention,
    ] {
        assert!(table().iter().any(|row| row.situation.state == state), "{state:?}");
    }
}

#[test]
fn another_payment_than_the_orders_own_is_impossible() {
    let other = PaymentId(uuid::Uuid::from_u128(8));
    for Row { situation, .. } in
        table().into_iter().filter(|row| row.situation.payment_id.is_some())
    {
        for input in [
            Input::PaymentCreated(Payment { payment_id: other, ..payment() }),
            Input::PaymentCreationFailed(other, String::new()),
            Input::PaymentProcessed(other),
            Input::PaymentCancelled(other),
        ] {
            assert_eq!(situation.decide(input), Impossible);
        }
    }
}
