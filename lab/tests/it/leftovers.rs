//! However `lab` ends, its servers and its data are gone.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn nothing_is_left_behind_after_kill_9() {
    ends_without_leftovers(Signal::SIGKILL);
}

#[test]
fn nothing_is_left_behind_after_sigterm() {
    ends_without_leftovers(Signal::SIGTERM);
}

#[test]
fn nothing_is_left_behind_after_ctrl_c() {
    ends_without_leftovers(Signal::SIGINT);
}

fn ends_without_leftovers(signal: Signal) {
    let (mut lab, directory) = start();
    let running = processes_in(&directory);
    assert!(running.len() >= 2, "PostgreSQL and Kafka should run, and do not: {running:?}");
    kill(Pid::from_raw(lab.id().cast_signed()), signal).unwrap();
    lab.wait().unwrap();
    let start = Instant::now();
    while directory.exists() || !processes_in(&directory).is_empty() {
        let left = processes_in(&directory);
        assert!(start.elapsed() < PATIENCE, "left behind: {} {left:?}", directory.display());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Starts `lab stack` and waits until it says where it is.
fn start() -> (Child, PathBuf) {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("stack")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(lab.stdout.take().unwrap());
    let directory = output.lines().find_map(|line| {
        line.unwrap().strip_prefix("directory ").map(|rest| PathBuf::from(rest.trim()))
    });
    (lab, directory.expect("lab stack says where its directory is"))
}

/// The command lines of all processes that name the directory, but the janitor's, who may be about to leave.
fn processes_in(directory: &Path) -> Vec<String> {
    let name = directory.display().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&name) && !line.contains(" janitor "))
        .collect()
}
