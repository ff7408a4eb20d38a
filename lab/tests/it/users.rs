//! Root runs the stack, with PostgreSQL as `nobody`, and so does an ordinary user.

use std::{fs, os::unix::process::CommandExt, path::Path, process::Command};

use nix::{
    sys::signal::Signal,
    unistd::{Uid, User},
};

use crate::running::Lab;

#[test]
fn an_ordinary_user_can_run_the_stack() {
    // The others tests have filled the cache, or this does.
    drop(Lab::start(&["stack"]));
    if !Uid::effective().is_root() {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let home = std::env::temp_dir().join(format!("lab-test-{}", uuid::Uuid::now_v7()));
    fs::create_dir_all(home.join("debug")).unwrap();
    let lab = home.join("debug/lab");
    fs::copy(env!("CARGO_BIN_EXE_lab"), &lab).unwrap();
    let profile = Path::new(env!("CARGO_BIN_EXE_lab")).parent().unwrap();
    let copied = Command::new("cp")
        .arg("-R")
        .args([&profile.parent().unwrap().join("lab-stack"), &home])
        .status()
        .unwrap();
    assert!(copied.success());

    let mut command = Command::new(&lab);
    command.arg("stack").current_dir("/").uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    let mut running = Lab::start_command(&mut command);
    assert_eq!(running.user(), nobody.uid.as_raw());
    running.signal(Signal::SIGINT);
    running.wait();
    assert!(!running.directory().exists());
    fs::remove_dir_all(home).unwrap();
}
