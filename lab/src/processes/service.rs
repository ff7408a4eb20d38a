//! One of the system's programs, running: on ports of its own that stay the same from start to start.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};

use super::{Program, http};
use crate::stack::{Process, StackError, ports};

const READY_PATIENCE: Duration = Duration::from_secs(30);
const STEP_PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the ten seconds after which a service gives up draining.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// How a program is run.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Which.
    pub program: Program,
    /// Where its binary is; [`build`](super::build) answers that.
    pub binaries: PathBuf,
    /// Where its log goes.
    pub logs: PathBuf,
    /// Its environment besides the listen addresses: `DATABASE_URL`, `KAFKA_BROKERS` and so on.
    pub environment: Vec<(String, String)>,
}

impl ServiceOptions {
    /// Runs a step of the program, such as `migrate` or `topics`, to its end.
    ///
    /// # Errors
    /// If it fails; shows the end of its log.
    pub async fn step(&self, step: &str) -> Result<(), StackError> {
        let name = format!("{} {step}", self.program.name());
        let process = Process::spawn(&name, self.command(step), &self.log(), Signal::SIGKILL)?;
        let status = process.ended(STEP_PATIENCE).await?;
        if status.success() { Ok(()) } else { Err(StackError::ended(&name, status, &self.log())) }
    }

    fn command(&self, step: &str) -> Command {
        let mut command = Command::new(self.binaries.join(self.program.name()));
        command
            .arg(step)
            .current_dir("/")
            .envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    fn log(&self) -> PathBuf {
        self.logs.join(format!("{}.log", self.program.name()))
    }
}

/// A program that serves, or did until it was killed.
#[derive(Debug)]
pub struct Service {
    options: ServiceOptions,
    grpc: SocketAddr,
    admin: SocketAddr,
    process: Mutex<Option<Process>>,
    /// How those of its processes ended that did so before they were stopped or killed from here.
    ended: Mutex<Vec<ExitStatus>>,
}

impl Service {
    /// A service on free ports that has not been started yet.
    ///
    /// # Errors
    /// If there are no free ports.
    pub fn new(options: ServiceOptions) -> Result<Self, StackError> {
        Ok(Self::on_ports(options, ports::free()?, ports::free()?))
    }

    /// A service on these ports that has not been started yet.
    #[must_use]
    pub fn on_ports(options: ServiceOptions, grpc: u16, admin: u16) -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            options,
            grpc: loopback(grpc),
            admin: loopback(admin),
            process: Mutex::new(None),
            ended: Mutex::default(),
        }
    }

    /// Starts it and waits until it is ready. Does nothing if it runs.
    ///
    /// # Errors
    /// If it ends, or is not ready in time; shows the end of its log.
    pub async fn start(&self) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        if process.as_ref().is_some_and(|process| process.exit_status().is_none()) {
            return Ok(());
        }
        self.note_end(process.take().as_ref()).await;
        let started = self.spawn(&[])?;
        let ready = started.ready(READY_PATIENCE, async || self.is_ready().await).await;
        if ready.is_err() {
            self.note_end(Some(&started)).await;
        } else {
            *process = Some(started);
        }
        ready
    }

    /// Starts it without waiting: for when what it needs is down.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn start_unready(&self) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        self.note_end(process.as_ref()).await;
        *process = Some(self.spawn(&[])?);
        Ok(())
    }

    /// Starts it with fail points armed (`NAME=ACTION@HIT`), without waiting: it may fail before it is ready.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub async fn start_failing(&self, points: &str) -> Result<(), StackError> {
        let mut process = self.process.lock().await;
        self.note_end(process.as_ref()).await;
        *process = Some(self.spawn(&["--fail-points", points])?);
        Ok(())
    }

    /// Waits until a process that was started without waiting is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn until_ready(&self) -> Result<(), StackError> {
        match &*self.process.lock().await {
            Some(started) => started.ready(READY_PATIENCE, async || self.is_ready().await).await,
            None => Ok(()),
        }
    }

    /// How its process ended; `None` while it runs, and if it was never started or was stopped from here.
    pub async fn exit_status(&self) -> Option<ExitStatus> {
        self.process.lock().await.as_ref().and_then(Process::exit_status)
    }

    /// How its processes ended so far that did so by themselves, in their order.
    pub async fn ends(&self) -> Vec<ExitStatus> {
        let mut ends = self.ended.lock().await.clone();
        ends.extend(self.exit_status().await);
        ends
    }

    /// Kills it at once (`SIGKILL`).
    pub async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            self.note_end(Some(&process)).await;
            process.kill().await;
        }
    }

    /// Asks it to stop (`SIGTERM`) and waits.
    ///
    /// # Errors
    /// If it does not within 15 s, or ends with another code than 0.
    pub async fn stop(&self) -> Result<(), StackError> {
        let Some(process) = self.process.lock().await.take() else { return Ok(()) };
        self.note_end(Some(&process)).await;
        let status = process.stop(Signal::SIGTERM, STOP_PATIENCE).await?;
        if status.success() {
            Ok(())
        } else {
            Err(StackError::ended(self.options.program.name(), status, &self.options.log()))
        }
    }

    /// Freezes it (`SIGSTOP`).
    pub async fn pause(&self) {
        self.process.lock().await.iter().for_each(Process::pause);
    }

    /// Lets a frozen one go on.
    pub async fn resume(&self) {
        self.process.lock().await.iter().for_each(Process::resume);
    }

    /// Whether its process is there.
    pub async fn is_running(&self) -> bool {
        self.process.lock().await.as_ref().is_some_and(|process| process.exit_status().is_none())
    }

    /// The operating system's id of its process; `None` if it does not run.
    pub async fn pid(&self) -> Option<i32> {
        self.process.lock().await.as_ref().map(Process::pid)
    }

    /// Where it serves gRPC.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Where it serves `/metrics`, `/livez` and `/readyz`.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.options.log()
    }

    /// A channel for gRPC clients, which connects by itself whenever it must.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc))
            .expect("a socket address makes a valid URL")
            .connect_lazy()
    }

    /// Gets a path of the admin port; answers the status code and the body.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn admin(&self, path: &str) -> io::Result<(u16, String)> {
        http::get(self.admin, path).await
    }

    async fn note_end(&self, process: Option<&Process>) {
        self.ended.lock().await.extend(process.and_then(Process::exit_status));
    }

    async fn is_ready(&self) -> bool {
        self.admin("/readyz").await.is_ok_and(|(status, _)| status == 200)
    }

    fn spawn(&self, arguments: &[&str]) -> Result<Process, StackError> {
        let mut command = self.options.command(self.options.program.serve());
        command.args(arguments).env("ADMIN_LISTEN", self.admin.to_string());
        match self.options.program {
            Program::StoreManager | Program::Payments => {
                command.env("GRPC_LISTEN", self.grpc.to_string());
            }
            Program::OutboxRelay => {}
        }
        let log: &Path = &self.options.log();
        Process::spawn(self.options.program.name(), command, log, Signal::SIGKILL)
    }
}
