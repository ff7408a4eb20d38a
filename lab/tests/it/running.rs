//! `lab` itself as a child of a test.

use std::{
    io::{BufRead, BufReader, Lines},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A running `lab` that has said that it is up.
pub(crate) struct Lab {
    child: Child,
    directory: PathBuf,
    /// Kept open: `lab` may go on writing.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Lab {
    /// Starts `lab` and waits until it says that Ctrl-C stops it.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(arguments);
        Self::start_command(&mut command)
    }

    /// As [`start`](Self::start), with a command of the test's own making.
    pub(crate) fn start_command(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines: Vec<String> = output
            .by_ref()
            .map(Result::unwrap)
            .take_while(|line| !line.starts_with("Ctrl-C"))
            .collect();
        let directory = lines.iter().find_map(|line| {
            let rest = line.strip_prefix("directory").or_else(|| line.strip_prefix("data "))?;
            Some(PathBuf::from(rest.trim()))
        });
        let directory = directory.unwrap_or_else(|| panic!("lab is not up:\n{}", lines.join("\n")));
        Self { child, directory, _output: output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The user it runs as.
    pub(crate) fn user(&self) -> u32 {
        std::fs::metadata(format!("/proc/{}", self.pid())).unwrap().uid()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
