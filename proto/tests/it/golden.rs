//! Bytes of one event of each type, as they were written when the type was introduced. They lie on topics and in outboxes:
//! today's code must read in them what was meant then.
//!
//! `golden.txt` has a line for each event type: its name and its envelope's bytes in hexadecimal. Lines are added, never
//! changed.

use std::collections::BTreeMap;

use prost::{Message, Name};
use prost_types::FileDescriptorSet;
use proto::{
    Event, FILE_DESCRIPTOR_SET, google,
    store::{
        orders::events::v1 as orders, payments::events::v1 as payments,
        products::events::v1 as products, stock::events::v1 as stock, users::events::v1 as users,
    },
};

const ORDER: &str = "01990000-0000-7000-8000-00000000000a";
const USER: &str = "01990000-0000-7000-8000-000000000001";
const PRODUCT: &str = "01990000-0000-7000-9000-000000000001";
const PAYMENT: &str = "01990000-0000-7000-8000-00000000000b";

fn golden() -> BTreeMap<&'static str, Vec<u8>> {
    include_str!("golden.txt")
        .lines()
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (name, (0..hex.len()).step_by(2).map(byte).collect())
        })
        .collect()
}

fn assert_reads<E: Event + PartialEq + std::fmt::Debug>(event: impl Into<E>) {
    let event = event.into();
    let name = event.event_type().unwrap();
    let written: String = event.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = golden();
    let bytes =
        golden.get(name.as_str()).unwrap_or_else(|| panic!("add the line: {name} {written}"));
    assert_eq!(E::decode(bytes.as_slice()).unwrap(), event, "{name}");
    assert!(event.key().is_some_and(|key| key == ORDER || key == PRODUCT || key == USER), "{name}");
}

fn total() -> Option<google::r#type::Money> {
    Some(google::r#type::Money { currency_code: "CAD".into(), units: 1999, nanos: 990_000_000 })
}

fn failure() -> Option<orders::Failure> {
    Some(orders::Failure {
        reason: orders::failure::Reason::InsufficientStock.into(),
        detail: "available=2, required=3".into(),
        product_id: PRODUCT.into(),
    })
}

fn stock_line() -> stock::StockLine {
    stock::StockLine {
        product_id: PRODUCT.into(),
        quantity: 1,
        quantity_after: 999,
        stock_version: 2,
    }
}

#[test]
fn order_events_of_the_past_are_read() {
    let (order_id, user_id) = (ORDER.to_owned(), USER.to_owned());
    let line = orders::OrderLine { product_id: PRODUCT.into(), quantity: 1, unit_price: total() };
    assert_reads::<orders::OrderEvent>(orders::OrderCreated {
        order_id: order_id.clone(),
        user_id: user_id.clone(),
        lines: vec![line],
        total: total(),
    });
    assert_reads::<orders::OrderEvent>(orders::OrderCreationFailed {
        order_id: order_id.clone(),
        user_id: user_id.clone(),
        failure: failure(),
    });
    assert_reads::<orders::OrderEvent>(orders::OrderCancellationRequested {
        order_id: order_id.clone(),
        user_id,
        total: total(),
    });
    assert_reads::<orders::OrderEvent>(orders::OrderCancelled {
        order_id: order_id.clone(),
        failure: failure(),
    });
    assert_reads::<orders::OrderEvent>(orders::SagaCompleted {
        order_id,
        outcome: orders::saga_completed::Outcome::Failed.into(),
        failure: failure(),
    });
}

#[test]
fn stock_events_of_the_past_are_read() {
    let order_id = ORDER.to_owned();
    assert_reads::<stock::StockEvent>(stock::StockDecreased {
        order_id: order_id.clone(),
        user_id: USER.into(),
        total: total(),
        lines: vec![stock_line()],
    });
    assert_reads::<stock::StockEvent>(stock::StockDecreaseFailed {
        order_id: order_id.clone(),
        line: Some(stock_line()),
        available: 2,
        required: 3,
    });
    assert_reads::<stock::StockEvent>(stock::StockIncreased {
        order_id: order_id.clone(),
        lines: vec![stock_line()],
    });
    assert_reads::<stock::StockEvent>(stock::StockIncreaseFailed {
        order_id,
        product_ids: vec![PRODUCT.into()],
    });
    assert_reads::<stock::StockEvent>(stock::StockSet { line: Some(stock_line()) });
}

#[test]
fn payment_events_of_the_past_are_read() {
    let (order_id, payment_id) = (ORDER.to_owned(), PAYMENT.to_owned());
    assert_reads::<payments::PaymentEvent>(payments::PaymentCreated {
        order_id: order_id.clone(),
        payment_id: payment_id.clone(),
        user_id: USER.into(),
        amount: total(),
        payment_link: "https://pay.example/1".into(),
    });
    assert_reads::<payments::PaymentEvent>(payments::PaymentCreationFailed {
        order_id: order_id.clone(),
        payment_id: payment_id.clone(),
        reason: "the amount is above the limit".into(),
    });
    assert_reads::<payments::PaymentEvent>(payments::PaymentProcessed {
        order_id: order_id.clone(),
        payment_id: payment_id.clone(),
        user_id: USER.into(),
        amount: total(),
    });
    assert_reads::<payments::PaymentEvent>(payments::PaymentCancelled { order_id, payment_id });
}

#[test]
fn product_and_user_events_of_the_past_are_read() {
    assert_reads::<products::ProductEvent>(products::ProductCreated {
        product_id: PRODUCT.into(),
        name: "Laptop ABC".into(),
        sku: "LP12567".into(),
        price: total(),
    });
    assert_reads::<products::ProductEvent>(products::ProductDeleted { product_id: PRODUCT.into() });
    assert_reads::<users::UserEvent>(users::UserCreated {
        user_id: USER.into(),
        name: "Ada Lovelace".into(),
        email: "alovelace@example.com".into(),
        r#type: users::UserType::Client.into(),
    });
    assert_reads::<users::UserEvent>(users::UserDeleted { user_id: USER.into() });
}

#[test]
fn every_event_type_has_its_golden_bytes() {
    let descriptors = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let envelopes = [
        orders::OrderEvent::NAME,
        payments::PaymentEvent::NAME,
        products::ProductEvent::NAME,
        stock::StockEvent::NAME,
        users::UserEvent::NAME,
    ];
    let types: Vec<_> = descriptors
        .file
        .iter()
        .filter(|file| file.package().ends_with(".events.v1"))
        .flat_map(|file| &file.message_type)
        .filter(|message| envelopes.contains(&message.name()))
        .flat_map(|envelope| &envelope.field)
        .map(|field| field.type_name().trim_start_matches('.').to_owned())
        .collect();
    assert_eq!(types.len(), 18);
    for name in types {
        assert!(golden().contains_key(name.as_str()), "{name} has no line in golden.txt");
    }
}
