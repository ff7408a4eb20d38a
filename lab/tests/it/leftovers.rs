//! However `lab` ends, and whatever it is doing then: no process, no port, no directory and no container of it is left.

mod trail;

use std::process::{Child, ExitStatus};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::running::Lab;
use trail::Trail;

const SERVERS: &[&str] = &["postgres", "java"];
const EVERYTHING: &[&str] = &["postgres", "java", "store-manager", "payments", "outbox-relay"];

/// What a round of the relay alone has.
const RELAY: &[&str] = &["postgres", "java", "outbox-relay"];

/// Rounds that go on for longer than the test.
const CAMPAIGN: &[&str] = &["chaos", "--minutes", "5"];

/// A round that freezes servers and programs, one after the other.
const FREEZING: &[&str] = &[
    "chaos",
    "--fault=kafka.frozen",
    "--fault=store-manager.frozen",
    "--fault=payments.frozen",
    "--fault=kafka.frozen",
];

/// A campaign of one short round, which comes to its end.
const SHORT: &[&str] = &["chaos", "--fault", "payments.killed"];

#[test]
fn nothing_is_left_behind_after_kill_9() {
    ends_without_leftovers(&["stack"], SERVERS, Signal::SIGKILL);
}

#[test]
fn nothing_is_left_behind_after_sigterm() {
    ends_without_leftovers(&["stack"], SERVERS, Signal::SIGTERM);
}

#[test]
fn nothing_is_left_behind_after_ctrl_c() {
    ends_without_leftovers(&["stack"], SERVERS, Signal::SIGINT);
}

#[test]
fn nothing_of_up_is_left_behind_after_kill_9() {
    ends_without_leftovers(&["up", "--free-ports"], EVERYTHING, Signal::SIGKILL);
}

#[test]
fn nothing_of_up_is_left_behind_after_ctrl_c() {
    ends_without_leftovers(&["up", "--free-ports"], EVERYTHING, Signal::SIGINT);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_after_kill_9_in_the_middle_of_a_round() {
    ends_without_leftovers(CAMPAIGN, EVERYTHING, Signal::SIGKILL);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_after_ctrl_c_in_the_middle_of_a_round() {
    ends_without_leftovers(CAMPAIGN, EVERYTHING, Signal::SIGINT);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_after_sigterm_in_the_middle_of_a_round() {
    ends_without_leftovers(CAMPAIGN, EVERYTHING, Signal::SIGTERM);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_after_kill_9_while_a_fault_has_frozen_something() {
    let trail = Trail::new();
    let mut lab = Lab::start_command(&mut trail.lab(FREEZING));
    trail.until("something is frozen", |processes| {
        processes.iter().any(|process| trail::is_frozen(process))
    });
    lab.signal(Signal::SIGKILL);
    lab.wait();
    trail.ends(&[]);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_at_its_end() {
    let trail = Trail::new();
    let mut lab = Lab::start_command(&mut trail.lab(SHORT));
    let ports = trail.until_all_listen(EVERYTHING);
    assert!(lab.wait().success());
    trail.ends(&ports);
}

#[test]
fn nothing_of_a_soak_is_left_behind_after_kill_9_and_sigterm() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        silent_ends_without_leftovers(&["soak", "--rounds", "100"], RELAY, signal);
    }
}

#[test]
fn nothing_of_a_lost_window_is_left_behind_and_stopped_it_is_no_success() {
    for (signal, code) in
        [(Signal::SIGKILL, None), (Signal::SIGTERM, Some(1)), (Signal::SIGINT, Some(1))]
    {
        let ended = silent_ends_without_leftovers(&["lost-window"], EVERYTHING, signal);
        assert_eq!(ended.code(), code, "{signal}");
    }
}

#[test]
fn what_is_left_is_seen() {
    let trail = Trail::new();
    let mut lab = Lab::start_command(&mut trail.lab(&["stack"]));
    let ports = trail.until_all_listen(SERVERS);
    let left = trail.left(&ports).join("\n");
    for kind in ["process", "port", "directory"] {
        assert!(left.contains(kind), "no {kind} is seen of a stack that is up:\n{left}");
    }
    std::process::Command::new("sh")
        .args(["-c", "docker run --rm hello-world"])
        .env("PATH", trail.path())
        .status()
        .unwrap();
    assert!(trail.left(&[]).join("\n").contains("container"), "a container is not seen");
    trail.forget_containers();
    lab.signal(Signal::SIGINT);
    lab.wait();
    trail.ends(&ports);
}

/// Starts `lab`, and ends it by `signal` once these programs of it run and listen.
fn ends_without_leftovers(arguments: &[&str], programs: &[&str], signal: Signal) {
    let trail = Trail::new();
    let mut lab = Lab::start_command(&mut trail.lab(arguments));
    let ports = trail.until_all_listen(programs);
    lab.signal(signal);
    lab.wait();
    trail.ends(&ports);
}

/// A `lab` that does not say when it is up.
struct Silent(Child);

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As [`ends_without_leftovers`]; answers how it has ended.
fn silent_ends_without_leftovers(
    arguments: &[&str],
    programs: &[&str],
    signal: Signal,
) -> ExitStatus {
    let trail = Trail::new();
    let mut lab = Silent(trail.lab(arguments).spawn().unwrap());
    let ports = trail.until_all_listen(programs);
    kill(Pid::from_raw(lab.0.id().cast_signed()), signal).unwrap();
    let ended = lab.0.wait().unwrap();
    trail.ends(&ports);
    ended
}
