//! However `lab` ends, its servers, its programs and its data are gone.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::running::Lab;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn nothing_is_left_behind_after_kill_9() {
    ends_without_leftovers(&["stack"], 3, Signal::SIGKILL);
}

#[test]
fn nothing_is_left_behind_after_sigterm() {
    ends_without_leftovers(&["stack"], 3, Signal::SIGTERM);
}

#[test]
fn nothing_is_left_behind_after_ctrl_c() {
    ends_without_leftovers(&["stack"], 3, Signal::SIGINT);
}

#[test]
fn nothing_of_up_is_left_behind_after_kill_9() {
    ends_without_leftovers(&["up", "--free-ports"], 6, Signal::SIGKILL);
}

#[test]
fn nothing_of_up_is_left_behind_after_ctrl_c() {
    ends_without_leftovers(&["up", "--free-ports"], 6, Signal::SIGINT);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_after_kill_9() {
    ends_without_leftovers(&CAMPAIGN, 8, Signal::SIGKILL);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_after_ctrl_c() {
    ends_without_leftovers(&CAMPAIGN, 8, Signal::SIGINT);
}

#[test]
fn nothing_of_a_campaign_is_left_behind_at_its_end() {
    let mut lab = Lab::start(&["chaos", "--fault", "payments.killed"]);
    let children = until_there_are(lab.pid(), 8);
    lab.wait();
    are_gone(&lab, &children);
}

/// A round that goes on for longer than the test.
const CAMPAIGN: [&str; 3] = ["chaos", "--minutes", "5"];

/// `least`: PostgreSQL, Kafka and the janitor, with `up` the three programs, with a campaign another
/// PostgreSQL too, for its round.
fn ends_without_leftovers(arguments: &[&str], least: usize, signal: Signal) {
    let mut lab = Lab::start(arguments);
    let children = until_there_are(lab.pid(), least);
    lab.signal(signal);
    lab.wait();
    are_gone(&lab, &children);
}

/// All processes below `pid`, once there are so many.
fn until_there_are(pid: u32, least: usize) -> Vec<PathBuf> {
    let start = Instant::now();
    loop {
        let children = descendants(pid);
        if children.len() >= least {
            return children;
        }
        assert!(start.elapsed() < PATIENCE * 3, "more should run than {children:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the processes and the directory are gone.
fn are_gone(lab: &Lab, children: &[PathBuf]) {
    let start = Instant::now();
    loop {
        let left: Vec<&PathBuf> = children.iter().filter(|process| process.exists()).collect();
        if left.is_empty() && !lab.directory().exists() {
            return;
        }
        let lines: Vec<String> = left.into_iter().map(|process| command_line(process)).collect();
        assert!(start.elapsed() < PATIENCE, "left: {} {lines:?}", lab.directory().display());
        thread::sleep(Duration::from_millis(50));
    }
}

/// The `/proc` directories of all processes below `pid`.
fn descendants(pid: u32) -> Vec<PathBuf> {
    let children = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let children = children.filter(|process| parent(process) == Some(pid));
    children
        .flat_map(|child| {
            let pid = child.file_name().unwrap().to_str().unwrap().parse().unwrap();
            [vec![child], descendants(pid)].concat()
        })
        .collect()
}

/// The parent's id, in what `/proc/PID/stat` says after the name in parentheses: `) S 123 …`.
fn parent(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

fn command_line(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}
