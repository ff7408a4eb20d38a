//! What makes no sense is refused at once, in one sentence, before anything is started; and nobody reading is no failure.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use lab::processes;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use uuid::Uuid;

fn lab(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(line.split(' '));
    command
}

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn fresh(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}-{}", Uuid::now_v7()))
}

#[test]
fn a_campaign_that_cannot_be_is_refused_with_code_2() {
    for (line, sentence) in [
        (
            "chaos --fault nobody.nothing",
            "there is no fault `nobody.nothing`: `lab chaos --list` names them",
        ),
        (
            "chaos --relay debezium --delivery exactly-once",
            "debezium delivers at least once only: leave out --delivery, or the relay",
        ),
    ] {
        let told = told(&lab(line).output().unwrap());
        assert_eq!(told, (Some(2), format!("lab: {sentence}\n")));
    }
    for line in [
        "chaos --minutes 0",
        "chaos --rounds -1",
        "audit --patience 86401",
        "lost-window --kills 0",
    ] {
        let (code, error) = told(&lab(line).output().unwrap());
        assert!(code == Some(2) && error.contains("invalid value"), "{line}: {code:?} {error}");
    }
}

#[test]
fn a_directory_without_the_programs_is_named() {
    let told = told(&lab("chaos").env("LAB_BINARIES", "/nowhere").output().unwrap());
    let sentence = "LAB_BINARIES is /nowhere, where there is no store-manager: give the directory that has the programs, or \
                    unset it to have them built";
    assert_eq!(told, (Some(1), format!("lab: {sentence}\n")));
}

#[test]
fn a_list_that_nobody_reads_is_no_failure() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = lab("chaos --list").stdout(writer).output().unwrap();
    assert_eq!(told(&output), (Some(0), String::new()));
}

#[test]
fn an_audit_without_kafka_says_where_it_looked_for_it() {
    let output = lab("audit --kafka-brokers 127.0.0.1:1").env("RUST_LOG", "off").output().unwrap();
    let (code, error) = told(&output);
    assert_eq!(code, Some(2));
    assert!(error.contains("lab: kafka does not answer at 127.0.0.1:1: "), "{error}");
}

#[test]
fn a_history_that_is_none_is_refused_with_its_line() {
    let file = fresh("history");
    let history = file.display().to_string();
    for (text, sentence) in [
        ("", format!("lab: there is no call in {history}: leave out --history\n")),
        ("\n\n", format!("lab: there is no call in {history}: leave out --history\n")),
        ("\n{\"command\":", format!("lab: could not read {history}: line 2: EOF while parsing")),
        ("order", format!("lab: could not read {history}: line 1: expected value")),
    ] {
        fs::write(&file, text).unwrap();
        let (code, error) = told(&lab(&format!("audit --history {history}")).output().unwrap());
        assert!(code == Some(2) && error.starts_with(&sentence), "{code:?} {error}");
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn the_janitor_removes_nothing_that_lab_has_not_made() {
    let directory = fresh("run");
    fs::create_dir(&directory).unwrap();
    let output = lab(&format!("janitor {}", directory.display())).output().unwrap();
    let sentence =
        format!("{} is not a directory that a run of lab has made for itself", directory.display());
    assert_eq!(told(&output), (Some(1), format!("lab: {sentence}\n")));
    fs::remove_dir(directory).unwrap();
}

#[test]
fn a_campaign_stopped_before_a_round_is_over_is_no_success() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut campaign =
            lab("chaos").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(campaign.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "Ctrl-C stops the campaign"));
        kill(Pid::from_raw(campaign.id().cast_signed()), signal).unwrap();
        assert_eq!(lines.last().unwrap(), "stopped: rounds played: 0, bad: 0");
        let told = told(&campaign.wait_with_output().unwrap());
        assert_eq!(told, (Some(1), "lab: stopped before a round was over\n".to_owned()));
    }
}

#[tokio::test]
async fn a_process_is_not_started_with_a_fail_point_or_a_setting_that_is_none() {
    let binaries = processes::build().await.unwrap();
    for (program, subcommand) in [
        ("store-manager", &["serve"][..]),
        ("payments", &["serve"]),
        ("outbox-relay", &["run"]),
        ("outbox-relay", &["audit", "--repair"]),
        ("outbox-relay", &["dead-letters", "redrive", "a.dlq", "--all"]),
    ] {
        let mut command = Command::new(binaries.join(program));
        let output =
            command.args(subcommand).args(["--fail-points", "nowhere=abort"]).output().unwrap();
        let (code, error) = told(&output);
        assert!(code == Some(2), "{program}: {code:?} {error}");
        let sentence = "`nowhere` is no fail point of this process, which has ";
        assert!(error.contains(sentence), "{program}: {error}");
    }
    for program in ["store-manager", "payments"] {
        for (settings, reason) in [
            ("nobody.nothing=1", "nobody.nothing"),
            ("session.timeout.ms=soon", "session.timeout.ms"),
            ("garbage", "it must be KEY=VALUE"),
            ("", "it must be KEY=VALUE"),
        ] {
            let mut command = Command::new(binaries.join(program));
            let output = command.arg("serve").env("CONSUMER_SETTINGS", settings).output().unwrap();
            let (code, error) = told(&output);
            assert!(
                code == Some(2) && error.contains("CONSUMER_SETTINGS"),
                "{program}: {code:?} {error}"
            );
            assert!(error.contains(reason), "{program}: {error}");
        }
    }
}
