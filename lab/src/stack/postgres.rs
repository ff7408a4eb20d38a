//! PostgreSQL: our own, started directly as `postgres` (never through `pg_ctl`, whose child would not be ours), or one
//! that is there already.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use super::{
    account::Account,
    cache::Programs,
    databases,
    error::{StackError, could_not},
    postgres_url,
    process::Process,
    secured::Certificate,
    unpacked,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// `initdb` only computes, which takes long where others do too.
const INITDB_PATIENCE: Duration = Duration::from_secs(120);
/// What holds for every run.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "max_prepared_transactions=20",
    "wal_level=logical",
    "max_replication_slots=100",
    "max_wal_senders=100",
];
/// What makes it fast: a crash of the machine would lose data. A crash of PostgreSQL does not, as tests rely on, so
/// `synchronous_commit` stays on.
pub(super) const FORGETFUL: [&str; 2] = ["fsync=off", "full_page_writes=off"];
/// What a server in earnest has, as far as it goes on a small machine.
pub(super) const ROOMY: [&str; 3] =
    ["shared_buffers=1GB", "max_wal_size=4GB", "checkpoint_timeout=30min"];

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    server: String,
    ours: Option<Ours>,
}

#[derive(Debug)]
struct Ours {
    programs: PathBuf,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    account: Account,
    /// Beyond those of every run.
    settings: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Postgres {
    /// One that is there already.
    pub(super) fn external(url: &str) -> Self {
        Self { server: url.to_owned(), ours: None }
    }

    /// Starts one with its data in `directory`, which is filled if it is empty.
    pub(super) async fn start_new(
        programs: &Programs,
        directory: &Path,
        logs: &Path,
        port: u16,
        settings: Vec<String>,
    ) -> Result<Self, StackError> {
        let account = Account::for_postgres()?;
        if !account.can_reach(&directory.join("postgres")) {
            return Err(StackError::Unreachable(directory.to_owned()));
        }
        let ours = Ours {
            programs: reachable(&programs.postgres, directory, account)?,
            data: directory.join("postgres"),
            log: logs.join("postgres.log"),
            account,
            settings,
            process: Mutex::new(None),
            port,
        };
        if !ours.data.join("PG_VERSION").exists() {
            ours.initialise().await?;
        }
        let server = format!("postgres://postgres@127.0.0.1:{}/postgres", ours.port);
        let postgres = Self { server, ours: Some(ours) };
        postgres.start().await?;
        Ok(postgres)
    }

    /// The URL of the database `name`, which need not exist.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        postgres_url::with_database(&self.server, name)
    }

    /// Creates the empty database `name`; answers its URL.
    ///
    /// # Errors
    /// If it exists, or PostgreSQL refuses.
    pub async fn create_database(&self, name: &str) -> Result<String, StackError> {
        databases::create(self, name, None).await
    }

    /// The operating system's id of the process that started all of its own; `None` if it does not run, or is not ours.
    pub async fn pid(&self) -> Option<i32> {
        self.ours.as_ref()?.process.lock().await.as_ref().map(Process::pid)
    }

    /// Starts it after [`kill`](Self::kill) or [`stop`](Self::stop): same port, same data. Does nothing if it runs.
    ///
    /// # Errors
    /// If it is not ours, or does not start.
    pub async fn start(&self) -> Result<(), StackError> {
        let ours = self.ours()?;
        let mut process = ours.process.lock().await;
        if process.as_ref().is_some_and(|process| process.exit_status().is_none()) {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let started = ours.spawn()?;
            match started.ready(PATIENCE, async || self.answers().await).await {
                Ok(()) => {
                    *process = Some(started);
                    return Ok(());
                }
                // Backends of the one killed before may need a moment to notice; it refuses to start until then.
                Err(StackError::Ended { .. })
                    if start.elapsed() < PATIENCE && ours.was_running() =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Kills the server at once (`SIGKILL`), as a crash would.
    ///
    /// # Errors
    /// If it is not ours.
    pub async fn kill(&self) -> Result<(), StackError> {
        if let Some(process) = self.ours()?.process.lock().await.take() {
            process.kill().await;
        }
        Ok(())
    }

    /// Stops it at once without a checkpoint (`immediate`): all connections break, the next start recovers.
    ///
    /// # Errors
    /// If it is not ours, or does not stop.
    pub async fn stop(&self) -> Result<(), StackError> {
        if let Some(process) = self.ours()?.process.lock().await.take() {
            process.stop(Signal::SIGQUIT, PATIENCE).await?;
        }
        Ok(())
    }

    /// Stops it tidily, as before a restart of the machine.
    pub(super) async fn shut_down(&self) -> Result<(), StackError> {
        let Some(ours) = &self.ours else { return Ok(()) };
        if let Some(process) = ours.process.lock().await.take() {
            process.stop(Signal::SIGINT, PATIENCE).await?;
        }
        Ok(())
    }

    /// Whether it takes connections.
    async fn answers(&self) -> bool {
        let Ok(mut connection) = PgConnection::connect(&self.url("postgres")).await else {
            return false;
        };
        connection.ping().await.is_ok()
    }

    fn ours(&self) -> Result<&Ours, StackError> {
        self.ours.as_ref().ok_or(StackError::NotOurs("PostgreSQL"))
    }
}

impl Ours {
    async fn initialise(&self) -> Result<(), StackError> {
        if !self.data.exists() {
            fs::create_dir(&self.data).map_err(could_not("create PostgreSQL's data directory"))?;
        }
        self.account.give(&self.data)?;
        let mut command = self.command("initdb");
        command.arg("--pgdata").arg(&self.data).args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ]);
        let process = Process::spawn("initdb", command, &self.log, Signal::SIGKILL)?;
        let status = process.ended(INITDB_PATIENCE).await?;
        if status.success() { Ok(()) } else { Err(StackError::ended("initdb", status, &self.log)) }
    }

    fn spawn(&self) -> Result<Process, StackError> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data).arg("-p").arg(self.port.to_string());
        for setting in SETTINGS.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.arg("-c").arg(setting);
        }
        // SIGQUIT and not SIGKILL: so it takes its own children and its shared memory with it.
        Process::spawn("PostgreSQL", command, &self.log, Signal::SIGQUIT)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join("bin").join(program));
        command.current_dir("/").env("LC_ALL", "C").env("TZ", "UTC");
        self.account.apply(&mut command);
        command
    }

    /// Whether the data directory still looks in use.
    fn was_running(&self) -> bool {
        self.data.join("postmaster.pid").exists()
    }
}

/// The settings of a server with a certificate, which is written where the server finds it.
pub(super) fn tls(certificate: &Certificate, directory: &Path) -> Result<[String; 3], StackError> {
    let account = Account::for_postgres()?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(could_not("write a certificate"))?;
        // PostgreSQL takes no key that others can read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(could_not("hide a certificate"))?;
        account.give(&path)?;
        Ok(path)
    };
    let (chain, key) =
        (write("server.crt", &certificate.chain)?, write("server.key", &certificate.key)?);
    Ok([
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", chain.display()),
        format!("ssl_key_file={}", key.display()),
    ])
}

/// The programs where the account can reach them: copied into the run's directory if need be.
fn reachable(programs: &Path, directory: &Path, account: Account) -> Result<PathBuf, StackError> {
    if account.can_reach(programs) {
        return Ok(programs.to_owned());
    }
    let copy = directory.join("programs");
    if !copy.exists() {
        unpacked::copy(programs, &copy)?;
    }
    Ok(copy)
}
