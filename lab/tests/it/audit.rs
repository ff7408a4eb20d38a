//! The auditor on a real system: it finds nothing where nothing is wrong, and each thing that is.

mod shopper;
mod tampering;

use std::{
    collections::HashSet,
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use lab::{
    audit::{Motion, Owner, Sources, Verdict, at_rest, audit},
    campaign::Delivery,
    history::{Answer, History, Invocation, Line, Reply},
    invariants::{self, Invariant},
    processes::Program,
    system::SystemOptions,
};
use proto::store::orders::{
    events::v1::{OrderEvent, SagaCompleted, saga_completed::Outcome},
    v1::order::State,
};
use uuid::Uuid;

use crate::scenarios::Shop;
use shopper::Shopper;
use tampering::{Forged, execute};

/// Six laptops cost more.
const DECLINE_ABOVE: (&str, &str) = ("PROVIDER_DECLINE_ABOVE_MINOR", "1000000");

/// The orders that are broken later.
struct Orders {
    completed: Uuid,
    paid: Uuid,
    short: Uuid,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_finds_nothing_in_a_good_system_and_each_thing_that_is_wrong() {
    let shop = Shop::open_with_payments(&[DECLINE_ABOVE]).await;
    let mut shopper = Shopper { shop, history: History::default() };
    let orders = every_outcome(&mut shopper).await;
    let verdicts = shopper.audit().await;
    assert_eq!(broken(&verdicts), [], "{}", text(&verdicts));
    assert_eq!(verdicts.len(), invariants::ALL.len());
    assert!(verdicts.iter().all(|verdict| verdict.counted.iter().any(|(_, what)| {
        // Nothing was parked.
        *what == "dead letters" || verdict.counted[0].0 > 0
    })));

    the_command_tells_the_same(&shopper).await;
    rows_that_can_be_put_back(&shopper, &orders).await;
    a_forged_history(&shopper).await;
    a_system_that_moves(&mut shopper).await;
    what_cannot_be_undone(&shopper, &orders).await;
}

/// Behind the last record of a transaction stands a mark that no consumer reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_delivers_exactly_once_comes_to_rest_and_holds() {
    let environment =
        vec![(Program::OutboxRelay, "RELAY_DELIVERY".to_owned(), "exactly-once".to_owned())];
    let shop = Shop::open_with(SystemOptions { environment, ..SystemOptions::default() }).await;
    let mut shopper = Shopper { shop, history: History::default() };
    shopper.place(&[(2, 1)]).await.unwrap();
    let snapshot = shopper.rest().await.snapshot;
    let verdicts = audit(&snapshot, Some(&shopper.history), Delivery::ExactlyOnce);
    assert_eq!(broken(&verdicts), [], "{}", text(&verdicts));
}

/// An order of each outcome, and stock set and adjusted.
async fn every_outcome(shopper: &mut Shopper) -> Orders {
    let completed = shopper.place(&[(2, 1), (4, 2)]).await.unwrap();
    let paid = shopper.place(&[(2, 2)]).await.unwrap();
    let cancelled = shopper.place(&[(2, 3)]).await.unwrap();
    let short = shopper.place(&[(3, 3)]).await.unwrap();
    let unpayable = shopper.place(&[(1, 6)]).await.unwrap();
    assert_eq!(shopper.place(&[(7, 1)]).await, None);
    shopper.set_stock(4, 80).await;
    shopper.adjust_stock(4, 5).await;
    shopper.reaches(completed, State::Completed).await;
    let order = shopper.reaches(paid, State::Completed).await;
    shopper.pay(&order).await;
    shopper.shop.is_paid(&paid.to_string()).await;
    shopper.cancel(paid).await;
    shopper.reaches(cancelled, State::Completed).await;
    shopper.cancel(cancelled).await;
    for order_id in [cancelled, short, unpayable] {
        shopper.reaches(order_id, State::Cancelled).await;
    }
    Orders { completed, paid, short }
}

/// `lab audit` as a process: on a good system, on a bad one, and where it cannot tell.
async fn the_command_tells_the_same(shopper: &Shopper) {
    let sources = shopper.sources();
    let history = std::env::temp_dir().join(format!("history-{}", Uuid::now_v7()));
    shopper.history.write(&history).unwrap();
    let history = history.to_str().unwrap();
    let good = command(&sources, &["--history", history]);
    let printed = String::from_utf8(good.stdout).unwrap();
    assert_eq!(good.status.code(), Some(0), "{printed}");
    assert_eq!(printed.lines().count(), invariants::ALL.len(), "{printed}");
    assert!(printed.contains("I-6 stock adds up: 4 products, 5 orders, "), "{printed}");

    execute(&sources.store_manager, &laptops("- 1")).await;
    let bad = command(&sources, &["--output", "json", "--patience", "0"]);
    execute(&sources.store_manager, &laptops("+ 1")).await;
    let told: serde_json::Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{told:#}");
    let verdicts = told["verdicts"].as_array().unwrap().iter();
    let broken: Vec<_> =
        verdicts.filter(|verdict| verdict["holds"] == false).map(|it| &it["invariant"]).collect();
    assert_eq!(broken, ["I-6"]);
    assert_eq!(told["still_moves"], serde_json::json!([]));

    std::fs::remove_file(history).unwrap();
    let unknown = command(&sources, &["--history", history]);
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(command(&sources, &["--no-such-option"]).status.code(), Some(2));
}

fn command(sources: &Sources, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["audit", "--store-manager-database", &sources.store_manager])
        .args(["--payments-database", &sources.payments, "--kafka-brokers", &sources.brokers])
        .args(more)
        .output()
        .unwrap()
}

fn laptops(change: &str) -> String {
    format!(
        "UPDATE store_manager.stock SET quantity = quantity {change}
         WHERE product_id = '01990000-0000-7000-9000-000000000001'"
    )
}

/// Each row is wrong for the time of one audit.
async fn rows_that_can_be_put_back(shopper: &Shopper, orders: &Orders) {
    let sources = shopper.sources();
    let Orders { completed, short, .. } = orders;
    let handled = shopper.rest().await.snapshot.inbox;
    let forgotten = handled.iter().find(|handled| handled.by == Owner::Payments).unwrap().event_id;
    let second = Uuid::now_v7();
    let tampered = [
        (
            Invariant(4),
            &sources.payments,
            format!("DELETE FROM messaging.inbox WHERE event_id = '{forgotten}'"),
            format!("INSERT INTO messaging.inbox (event_id) VALUES ('{forgotten}')"),
        ),
        (Invariant(6), &sources.store_manager, laptops("- 1"), laptops("+ 1")),
        (
            Invariant(7),
            &sources.payments,
            format!(
                "INSERT INTO payments.payments (payment_id, order_id, user_id, amount_minor, currency, state, payment_link,
                     settled_at, correlation_id)
                 VALUES ('{second}', '{short}', '{second}', 1725, 'CAD', 'paid', '', now(), '')"
            ),
            format!("DELETE FROM payments.payments WHERE payment_id = '{second}'"),
        ),
        (
            Invariant(7),
            &sources.payments,
            format!(
                "INSERT INTO simulated_provider.ledger (payment_id, order_id, kind, amount_minor, currency)
                 VALUES ('{second}', '{completed}', 'captured', 1, 'CAD')"
            ),
            format!("DELETE FROM simulated_provider.ledger WHERE payment_id = '{second}'"),
        ),
    ];
    for (invariant, url, tamper, undo) in tampered {
        execute(url, &tamper).await;
        let verdicts = shopper.audit().await;
        assert_eq!(broken(&verdicts), [invariant], "{}", text(&verdicts));
        execute(url, &undo).await;
        let verdicts = shopper.audit().await;
        assert_eq!(broken(&verdicts), [], "{}", text(&verdicts));
    }
}

/// A caller says that it was told of an order that is not there.
async fn a_forged_history(shopper: &Shopper) {
    let rest = shopper.rest().await;
    let [request_id, user_id, order_id] = [(); 3].map(|()| Uuid::now_v7());
    let lines = vec![Line { product_id: Uuid::now_v7(), quantity: 1 }];
    let reply = Reply::Order { order_id, state: "DECREASING_STOCK".to_owned(), is_paid: false };
    let mut history = shopper.history.clone();
    history.invocations.push(Invocation {
        command: lab::history::Command::CreateOrder { request_id, user_id, lines },
        began: SystemTime::now(),
        ended: None,
        answer: Answer::Ok(reply),
    });
    let verdicts = audit(&rest.snapshot, Some(&history), Delivery::AtLeastOnce);
    assert_eq!(broken(&verdicts), [Invariant(9)], "{}", text(&verdicts));
}

/// Without its relay a system comes to no rest, and what moves is told.
async fn a_system_that_moves(shopper: &mut Shopper) {
    let sources = shopper.sources();
    shopper.shop.system.relay.stop().await.unwrap();
    let order_id = shopper.place(&[(2, 1)]).await.unwrap();
    let rest = at_rest(&sources, Duration::ZERO).await.unwrap();
    let expected = [
        Motion::Unpublished { owner: Owner::StoreManager, rows: 1 },
        Motion::Orders { under_way: 1, first: order_id },
    ];
    assert_eq!(rest.still_moves, expected);
    let verdicts = audit(&rest.snapshot, Some(&shopper.history), Delivery::AtLeastOnce);
    assert_eq!(broken(&verdicts), [Invariant(1), Invariant(5)], "{}", text(&verdicts));
    shopper.shop.system.relay.start().await.unwrap();
    let verdicts = shopper.audit().await;
    assert_eq!(broken(&verdicts), [], "{}", text(&verdicts));
}

/// What stands on Kafka stays there: afterwards the auditor is told that it was put there on purpose.
async fn what_cannot_be_undone(shopper: &Shopper, orders: &Orders) {
    let sources = shopper.sources();
    let mut injected = HashSet::new();
    shopper.shop.system.relay.stop().await.unwrap();

    let lost = Forged::unread();
    lost.append(&sources).await;
    expect(shopper, &injected, Invariant(1)).await;
    lost.withdraw(&sources).await;

    let invented = Forged::unread();
    invented.publish(&sources).await;
    expect(shopper, &injected, Invariant(2)).await;
    injected.insert(invented.id);

    let first = Forged::unread();
    let second = first.next();
    first.append(&sources).await;
    second.append(&sources).await;
    second.publish(&sources).await;
    first.publish(&sources).await;
    expect(shopper, &injected, Invariant(3)).await;
    first.withdraw(&sources).await;
    second.withdraw(&sources).await;
    injected.extend([first.id, second.id]);

    let letter = Forged::unread();
    letter.park(&sources).await;
    expect(shopper, &injected, Invariant(8)).await;
    injected.insert(letter.id);

    shopper.shop.system.relay.start().await.unwrap();
    let order_id = orders.paid.to_string();
    let outcome = Outcome::Succeeded.into();
    let end = SagaCompleted { order_id, outcome, failure: None };
    Forged::new(OrderEvent::from(end)).append(&sources).await;
    shopper.rest().await;
    expect(shopper, &injected, Invariant(5)).await;
}

/// Without waiting for rest, since with the relay stopped there is none.
async fn expect(shopper: &Shopper, injected: &HashSet<Uuid>, invariant: Invariant) {
    let rest = at_rest(&shopper.sources(), Duration::ZERO).await.unwrap();
    let mut snapshot = rest.snapshot;
    snapshot.injected.clone_from(injected);
    let verdicts = audit(&snapshot, Some(&shopper.history), Delivery::AtLeastOnce);
    assert_eq!(broken(&verdicts), [invariant], "{}", text(&verdicts));
}

fn broken(verdicts: &[Verdict]) -> Vec<Invariant> {
    verdicts.iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.invariant).collect()
}

fn text(verdicts: &[Verdict]) -> String {
    verdicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
