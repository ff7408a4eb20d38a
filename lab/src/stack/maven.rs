//! Runs Maven on a pom of `stack/`, which fetches programs from Maven Central.

use std::{
    env, fs,
    fs::File,
    io,
    path::Path,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use super::{
    error::{StackError, could_not},
    spawner,
};

const CURE: &str = "it fetches Kafka and PostgreSQL once; install it (Debian: apt install maven; macOS: brew install maven)";

/// What zonky's PostgreSQL is called for this kind of machine.
pub(super) fn platform() -> Result<&'static str, StackError> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-amd64"),
        ("linux", "aarch64") => Ok("linux-arm64v8"),
        ("macos", "x86_64") => Ok("darwin-amd64"),
        ("macos", "aarch64") => Ok("darwin-arm64v8"),
        (system, machine) => Err(StackError::Platform(format!("{system} on {machine}"))),
    }
}

/// Fills `directory` with what the text of a `pom` says.
pub(super) fn fetch(
    directory: &Path,
    pom: &str,
    platform: &str,
    log: &Path,
) -> Result<(), StackError> {
    let file = directory.join("pom.xml");
    fs::write(&file, pom).map_err(could_not("write the pom"))?;
    let output = File::create(log).map_err(could_not("create Maven's log"))?;
    let errors = output.try_clone().map_err(could_not("share Maven's log"))?;
    let mut command = Command::new("mvn");
    command
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&file)
        .arg(format!("-Dpostgres.platform={platform}"))
        .arg(format!("-Dcache={}", directory.display()))
        .arg("package")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let status = spawner::spawn(command, Signal::SIGKILL)
        .and_then(|mut maven| maven.wait())
        .map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                StackError::Missing { program: "Maven (mvn)", cure: CURE }
            } else {
                could_not("run mvn")(error)
            }
        })?;
    if !status.success() {
        return Err(StackError::ended("Maven", status, log));
    }
    // The archives the programs came in.
    fs::remove_dir_all(directory.join("maven"))
        .map_err(could_not("remove Maven's working directory"))
}
