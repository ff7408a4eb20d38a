//! A child process: started so that it cannot outlive this one, with its output in a log.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::{
    error::{StackError, could_not},
    spawner,
};

/// How often a child is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long one look at whether a child is ready may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a child that was dropped may take for a stop of its own.
const DROP_PATIENCE: Duration = Duration::from_secs(3);

/// A running child process and its process group. Dropped, it is stopped, and killed if that does not help.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Child>,
    log: PathBuf,
    death: Signal,
}

impl Process {
    /// Starts `command`, appending its output to `log`. `death` is what it gets if this process dies.
    ///
    /// # Errors
    /// If the log cannot be opened or the program not be started.
    pub fn spawn(
        name: &str,
        mut command: Command,
        log: &Path,
        death: Signal,
    ) -> Result<Self, StackError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(could_not(format!("open the log {}", log.display())))?;
        let copy = file.try_clone().map_err(could_not("share a log"))?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = spawner::spawn(command, death).map_err(could_not(format!("start {name}")))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok(Self {
            name: name.to_owned(),
            pid,
            child: Mutex::new(child),
            log: log.to_owned(),
            death,
        })
    }

    /// The operating system's id of the process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Sends `signal` to its process group, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            // It cannot have been reaped in between, so the id is still its own; that it is ending is no failure.
            let _ = signal::killpg(self.pid, signal);
        }
    }

    /// Kills it at once (`SIGKILL`) and waits until it is gone.
    pub async fn kill(&self) {
        self.signal(Signal::SIGKILL);
        while self.exit_status().is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Freezes it (`SIGSTOP`): it is there, and answers nobody.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen one go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to stop with `signal` and waits.
    ///
    /// # Errors
    /// [`StackError::TooSlow`] if it still runs after `patience`.
    pub async fn stop(&self, signal: Signal, patience: Duration) -> Result<ExitStatus, StackError> {
        self.signal(signal);
        self.ended(patience).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`StackError::TooSlow`] if it still runs after `patience`.
    pub async fn ended(&self, patience: Duration) -> Result<ExitStatus, StackError> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if start.elapsed() > patience {
                return Err(StackError::too_slow(&self.name, "ended", patience, &self.log));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until `probe` says yes.
    ///
    /// # Errors
    /// If the process ends before, or after `patience`.
    pub async fn ready(
        &self,
        patience: Duration,
        mut probe: impl AsyncFnMut() -> bool,
    ) -> Result<(), StackError> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status() {
                return Err(StackError::ended(&self.name, status, &self.log));
            }
            if tokio::time::timeout(PROBE_PATIENCE, Box::pin(probe())).await == Ok(true) {
                return Ok(());
            }
            if start.elapsed() > patience {
                return Err(StackError::too_slow(&self.name, "ready", patience, &self.log));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.death);
        let start = Instant::now();
        while self.exit_status().is_none() && start.elapsed() < DROP_PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child().wait();
    }
}
