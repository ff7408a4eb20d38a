//! Debezium Server in the place of the relay. Where it cannot be run, for want of a Java or of the network, each test says
//! so and ends.

mod round;
mod store;
mod table;

use lab::stack::{Debezium, DebeziumError, DebeziumOptions, Stack};

/// A Debezium Server that publishes; `None`, and a line that says why, where there can be none.
async fn started(stack: &Stack, database: &str, brokers: &str) -> Option<Debezium> {
    let options = DebeziumOptions {
        database: database.to_owned(),
        brokers: brokers.to_owned(),
        ..DebeziumOptions::default()
    };
    match stack.debezium(options).await {
        Ok(debezium) => Some(debezium),
        Err(reason @ (DebeziumError::NoJava | DebeziumError::NotAvailable(_))) => {
            skipped(&reason);
            None
        }
        Err(DebeziumError::Stack(error)) => panic!("{error}"),
    }
}

fn skipped(reason: &DebeziumError) {
    println!("skipped: {reason}");
}
