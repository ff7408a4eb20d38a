//! `lab up`: an order travels, and the exit code says whether it arrived.

use std::{
    net::TcpListener,
    process::{Command, Output},
    time::{Duration, Instant},
};

use lab::stack::{Stack, StackOptions};

/// What the promise is, for a built workspace on two cores with nothing else to do.
const PROMISED: Duration = Duration::from_secs(15);

#[test]
fn an_order_travels_and_is_completed() {
    let start = Instant::now();
    let output = up(&["--once", "--free-ports"]);
    let (text, took) = (text(&output), start.elapsed());
    assert!(output.status.success(), "{text}");
    for state in ["● DECREASING_STOCK", "● CREATING_PAYMENT", "● COMPLETED"] {
        assert!(text.contains(state), "{state} is missing in:\n{text}");
    }
    for event in ["OrderCreated", "StockDecreased", "PaymentCreated", "SagaCompleted"] {
        assert!(text.contains(event), "{event} is missing in:\n{text}");
    }
    // Other tests run at the same time.
    assert!(took < PROMISED * 4, "it took {took:?}");
}

#[tokio::test]
async fn servers_that_are_there_already_are_used() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let postgres = stack.postgres_url("postgres");
    let brokers = stack.kafka().await.unwrap().brokers().to_owned();
    for _ in 0..2 {
        let arguments = ["--once", "--free-ports", "--postgres", &postgres, "--kafka", &brokers];
        let output = up(&arguments);
        assert!(output.status.success(), "{}", text(&output));
    }
    assert!(stack.create_database("store_manager").await.is_err(), "another server was used");
}

#[test]
fn kept_data_is_found_again() {
    let data = std::env::temp_dir().join(format!("lab-test-{}", uuid::Uuid::now_v7()));
    for _ in 0..2 {
        let output = up(&["--once", "--free-ports", "--data", data.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output));
    }
    assert!(data.join("logs/store-manager.log").exists());
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_taken_port_is_one_sentence_that_names_the_variable() {
    // If it is taken already, all the better.
    let _taken = TcpListener::bind("127.0.0.1:9103");
    let output = up(&["--once", "--postgres", "postgres://localhost", "--kafka", "localhost:1"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("LISTEN) is taken: stop what listens there or use --free-ports"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn up(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).arg("up").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}
