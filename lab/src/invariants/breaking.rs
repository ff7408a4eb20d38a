//! Every invariant holds in a good store, and is broken by each way to break it, and no other one is.

mod answers;
mod events;
mod outcomes;

use proto::store::orders::events::v1::{OrderCreated, OrderEvent, saga_completed::Outcome};

use super::{
    ALL, Invariant,
    fixture::{PRODUCT, Store, id, payment_of},
    good::{COMPLETED, ON_HAND, PAID, good},
};
use crate::{
    audit::{INJECTED, OrderState, Owner, Record, Verdict, audit, motions},
    campaign::Delivery,
};

/// What is broken, part of what must be said, and how it is broken.
type Case = (Invariant, &'static str, fn(&mut Store));

fn broken(store: &Store) -> Vec<(Invariant, String)> {
    let verdicts = audit(&store.snapshot, Some(&store.history), Delivery::ExactlyOnce);
    let told = |verdict: &Verdict| {
        let told: Vec<_> = verdict.violations.iter().map(ToString::to_string).collect();
        (verdict.invariant, told.join("\n"))
    };
    verdicts.iter().filter(|verdict| !verdict.holds()).map(told).collect()
}

fn of(verdicts: &[Verdict], invariant: Invariant) -> &Verdict {
    verdicts.iter().find(|verdict| verdict.invariant == invariant).unwrap()
}

#[test]
fn in_a_good_store_every_invariant_holds() {
    assert_eq!(broken(&good()), []);
    assert_eq!(broken(&Store::default()), []);
    assert_eq!(motions(&good().snapshot), []);
    assert_eq!(good().snapshot.stock[0].quantity, ON_HAND);
}

#[test]
fn what_still_moves_is_told() {
    let mut store = good();
    let lost = store.snapshot.records.pop().unwrap();
    store.snapshot.positions.retain(|at| at.reader != Owner::Payments || at.topic != lost.topic);
    store.order(PAID).state = OrderState::Cancelling;
    store.payment(PAID).settled = false;
    let told: Vec<_> = motions(&store.snapshot).iter().map(ToString::to_string).collect();
    let before = store.snapshot.records.iter().filter(|record| record.topic == lost.topic).count();
    let expected = [
        "not on Kafka: 1 event of store-manager".to_owned(),
        format!("not read by payments: {before} records of store.orders.events.v1"),
        format!("not ended: 1 order, such as {}", id(PAID)),
        format!("not settled with the provider: 1 payment, such as {}", payment_of(PAID)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn each_way_to_break_an_invariant_breaks_that_one_and_no_other() {
    let cases = [
        &events::RELAY[..],
        &events::EFFECTS,
        &outcomes::ENDS,
        &outcomes::STOCK,
        &outcomes::PAYMENTS,
        &answers::ANSWERS,
        &answers::NOBODY_ASKED,
    ];
    let cases = cases.concat();
    for (invariant, ..) in ALL {
        assert!(cases.iter().any(|(broken, ..)| broken == invariant), "nothing breaks {invariant}");
    }
    let mut wrong = Vec::new();
    for (number, (invariant, says, tamper)) in cases.into_iter().enumerate() {
        let mut store = good();
        tamper(&mut store);
        let broken = broken(&store);
        match broken.as_slice() {
            [(found, told)] if *found == invariant && told.contains(says) => {}
            _ => wrong.push(format!("case {number}, {invariant} {says:?}: {broken:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_violation_of_an_order_names_it() {
    let mut store = good();
    store.end(PAID, None, Outcome::Succeeded);
    let verdicts = audit(&store.snapshot, None, Delivery::AtLeastOnce);
    assert_eq!(of(&verdicts, Invariant(5)).violations[0].order_id, Some(id(PAID)));
}

#[test]
fn what_somebody_put_on_a_topic_on_purpose_is_nobodys_fault() {
    let mut store = good();
    let row = store.write(None, OrderEvent::from(OrderCreated::default()));
    store.publish(&row);
    store.snapshot.outbox.pop();
    store
        .snapshot
        .records
        .last_mut()
        .unwrap()
        .headers
        .push((INJECTED.to_owned(), "true".to_owned()));
    let mut letter = letter(store.snapshot.records.last().unwrap());
    assert_eq!(broken(&store), []);
    letter.headers.retain(|(name, _)| name != INJECTED);
    store.snapshot.dead_letters.push(letter);
    assert_eq!(broken(&store)[0].0, Invariant(8));
    store.snapshot.injected.insert(row.event_id);
    assert_eq!(broken(&store), []);
}

#[test]
fn at_least_once_an_event_may_stand_twice() {
    let mut store = good();
    let row = store.snapshot.outbox[0].clone();
    store.publish(&row);
    let verdicts = audit(&store.snapshot, Some(&store.history), Delivery::AtLeastOnce);
    assert!(verdicts.iter().all(Verdict::holds), "{verdicts:#?}");
}

#[test]
fn what_was_there_at_the_start_counts() {
    let mut store = good();
    store.snapshot.outbox.retain(|row| row.key != PRODUCT.to_string());
    store.snapshot.initial_stock.insert(PRODUCT, 15);
    let verdicts = audit(&store.snapshot, None, Delivery::AtLeastOnce);
    let stock = of(&verdicts, Invariant(6));
    assert!(stock.holds(), "{stock}");
}

#[test]
fn an_order_may_need_attention_once_the_stock_of_a_product_of_it_is_gone() {
    let mut store = good();
    outcomes::needs_attention(&mut store);
    let verdicts = audit(&store.snapshot, None, Delivery::AtLeastOnce);
    assert_eq!(of(&verdicts, Invariant(5)).violations.len(), 1);
    outcomes::cannot_give_back(&mut store);
    store.snapshot.stock.clear();
    let verdicts = audit(&store.snapshot, None, Delivery::AtLeastOnce);
    let ends = of(&verdicts, Invariant(5));
    assert!(ends.holds(), "{ends}");
}

#[test]
fn a_dead_letter_names_an_order_only_where_its_key_is_one() {
    for (record, order_id) in [(0, None), (2, Some(id(COMPLETED)))] {
        let mut store = good();
        let row = &store.snapshot.outbox[record];
        let record = store.snapshot.records.iter().find(|it| it.event_id() == Some(row.event_id));
        let letter = letter(record.unwrap());
        store.snapshot.dead_letters.push(letter);
        let verdicts = audit(&store.snapshot, None, Delivery::AtLeastOnce);
        assert_eq!(of(&verdicts, Invariant(8)).violations[0].order_id, order_id);
    }
}

#[test]
fn of_a_system_that_has_dropped_its_beginnings_no_invariant_can_be_told() {
    let mut store = good();
    store.snapshot.lost_beginnings.push("a partition was dropped".to_owned());
    assert_eq!(broken(&store), ALL.iter().map(|(i, ..)| (*i, String::new())).collect::<Vec<_>>());
}

/// A dead letter of payments.
fn letter(record: &Record) -> Record {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut letter = Record { offset: 0, ..record.clone() };
    letter.topic = "payments.store.orders.events.v1.dlq".to_owned();
    letter.headers.extend([
        header("dlq-original-topic", &record.topic),
        header("dlq-original-partition", &record.partition.to_string()),
        header("dlq-original-offset", &record.offset.to_string()),
        header("dlq-error", "it is not understood"),
    ]);
    letter
}
