//! A round of chaos with Debezium in the place of the relay: killed and stopped under a load of orders, and audited.

use lab::{
    campaign::Delivery,
    chaos::{Plan, Relay, faults, round},
    stack::{Debezium, DebeziumError, Stack},
};

use super::skipped;

#[tokio::test(flavor = "multi_thread")]
async fn a_round_with_debezium_in_the_place_of_the_relay_holds() {
    match Debezium::available().await {
        Ok(()) => {}
        Err(reason @ (DebeziumError::NoJava | DebeziumError::NotAvailable(_))) => {
            return skipped(&reason);
        }
        Err(DebeziumError::Stack(error)) => panic!("{error}"),
    }
    let blows = ["debezium.killed", "debezium.stopped"].map(|name| faults::named(name).unwrap());
    let plan =
        Plan { relay: Relay::Debezium, ..Plan::with(1, Delivery::AtLeastOnce, Vec::from(blows)) };
    let report = Box::pin(round(Stack::shared().await.unwrap(), &plan)).await;
    println!("{report}");
    assert!(report.is_good(), "see above");
    assert_eq!(report.coverage.struck(), 2, "each has struck");
}
