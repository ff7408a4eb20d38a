//! What is missing on a machine is said in one sentence, with its cure.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn a_missing_java_is_one_sentence_with_its_cure() {
    let empty = Directory::new();
    let error = fails(
        Command::new(env!("CARGO_BIN_EXE_lab")).env("PATH", &empty.0).env_remove("JAVA_HOME"),
    );
    assert!(error.starts_with("lab: Java was not found: install Java 17 or later"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_missing_maven_is_one_sentence_with_its_cure() {
    // A copy of lab elsewhere finds no cache, and a PATH of only Java no Maven.
    let elsewhere = Directory::new();
    let lab = elsewhere.0.join("debug/lab");
    fs::create_dir_all(lab.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_lab"), &lab).unwrap();
    let programs = elsewhere.0.join("bin");
    fs::create_dir(&programs).unwrap();
    symlink(which("java"), programs.join("java")).unwrap();
    let error = fails(Command::new(&lab).env("PATH", &programs).env_remove("JAVA_HOME"));
    assert!(error.starts_with("lab: Maven (mvn) was not found: "), "{error}");
    assert!(error.contains("apt install maven"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn fails(lab: &mut Command) -> String {
    let output = lab.arg("stack").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.exists());
    fs::canonicalize(found.unwrap()).unwrap()
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lab-test-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}
