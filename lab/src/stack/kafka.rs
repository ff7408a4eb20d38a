//! Apache Kafka: our own, one broker that is its own controller, started directly as `java`, or one that is there already.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use tokio::{net::TcpStream, sync::Mutex};

use super::{
    cache::Programs,
    error::{StackError, could_not},
    ports,
    process::Process,
    secured::Secured,
};

const PATIENCE: Duration = Duration::from_secs(120);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// Kafka wants a cluster id of this form; each cluster here is alone, so one will do.
const CLUSTER_ID: &str = "lab0lab0lab0lab0lab0lg";
/// What every JVM gets.
const JVM: [&str; 2] = ["-XX:-UsePerfData", "-Djava.awt.headless=true"];
/// What starts fast and stays small.
const SMALL: [&str; 3] = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// What Kafka's own scripts give a broker.
const ROOMY: [&str; 5] = [
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
];
const LOGGING: &str = include_str!("../../stack/log4j2.properties");
const SETTINGS: &str = include_str!("../../stack/server.properties");

/// The options of a broker's JVM.
pub(super) fn jvm(roomy: bool) -> &'static [&'static str] {
    if roomy { &ROOMY } else { &SMALL }
}

/// A Kafka broker.
#[derive(Debug)]
pub struct Kafka {
    brokers: String,
    secured: Option<String>,
    ours: Option<Ours>,
}

/// What is wanted of a broker beyond what every one has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Further<'a> {
    /// Lines of `server.properties`.
    pub(super) settings: &'a str,
    /// A listener that is secure.
    pub(super) secured: Option<&'a Secured>,
    /// Listeners behind something else: the port of each, and the port that its clients are told.
    pub(super) behind: &'a [(u16, u16)],
}

#[derive(Debug)]
struct Ours {
    java: PathBuf,
    jars: PathBuf,
    jvm: &'static [&'static str],
    directory: PathBuf,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Kafka {
    /// One that is there already.
    pub(super) fn external(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned(), secured: None, ours: None }
    }

    /// Starts one with its data in `directory`, which is formatted if it is empty.
    pub(super) async fn start_new(
        java: PathBuf,
        programs: &Programs,
        directory: PathBuf,
        logs: &Path,
        (broker, controller): (u16, u16),
        further: Further<'_>,
        jvm: &'static [&'static str],
    ) -> Result<Self, StackError> {
        fs::create_dir_all(&directory).map_err(could_not("create Kafka's directory"))?;
        let secured = further.secured.map(|secured| Ok((secured, ports::free()?))).transpose()?;
        if let Some((secured, _)) = secured {
            secured.write(&directory)?;
        }
        let secured_settings = secured
            .map(|(secured, port)| secured.settings((broker, controller), port))
            .unwrap_or_default();
        let settings = format!(
            "{SETTINGS}\n\
             listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=BROKER://127.0.0.1:{broker}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             log.dirs={}\n\
             {secured_settings}\n\
             {}\n\
             {}\n",
            directory.join("data").display(),
            behind((broker, controller), further.behind),
            further.settings,
        );
        let write = |name: &str, text: &str| {
            fs::write(directory.join(name), text).map_err(could_not("configure Kafka"))
        };
        write("server.properties", &settings)?;
        write("log4j2.properties", LOGGING)?;
        let brokers = format!("127.0.0.1:{broker}");
        let ours = Ours {
            java,
            jars: programs.kafka.clone(),
            jvm,
            log: logs.join("kafka.log"),
            directory,
            process: Mutex::new(None),
        };
        if !ours.directory.join("data/meta.properties").exists() {
            ours.format(further.secured).await?;
        }
        let secured = secured.map(|(_, port)| format!("localhost:{port}"));
        let kafka = Self { brokers, secured, ours: Some(ours) };
        kafka.start().await?;
        Ok(kafka)
    }

    /// What clients connect to: `HOST:PORT`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Where its data are, in `data` below it; `None` if it is not ours.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.ours.as_ref().map(|ours| ours.directory.as_path())
    }

    /// What it has said of transactions that it has decided, and left undecided on some partitions for ever, as Kafka 4.3 may when it is killed and
    /// starts again: nothing is exactly once then (`docs/adr/0016-what-hangs-in-kafka-is-aborted.md`).
    ///
    /// # Errors
    /// If it is not ours, or its log cannot be read.
    pub fn left_hanging(&self) -> Result<Vec<String>, StackError> {
        let log = fs::read(&self.ours()?.log).map_err(could_not("read Kafka's log"))?;
        let left_out = "these partitions are likely deleted already";
        let lines = String::from_utf8_lossy(&log);
        Ok(lines.lines().filter(|line| line.contains(left_out)).map(str::to_owned).collect())
    }

    /// The operating system's id of the process that is the broker; `None` if it does not run, or is not ours.
    pub async fn pid(&self) -> Option<i32> {
        self.ours.as_ref()?.process.lock().await.as_ref().map(Process::pid)
    }

    /// Whether it runs; one that is not ours does.
    pub async fn is_running(&self) -> bool {
        let Some(ours) = &self.ours else { return true };
        ours.process.lock().await.as_ref().is_some_and(|process| process.exit_status().is_none())
    }

    /// What clients connect to that have a certificate and a password, where it was started so.
    #[must_use]
    pub fn secured(&self) -> Option<&str> {
        self.secured.as_deref()
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
        let command = ours.command("kafka.Kafka", &["server.properties"]);
        let started = Process::spawn("Kafka", command, &ours.log, Signal::SIGKILL)?;
        started.ready(PATIENCE, async || self.answers().await).await?;
        *process = Some(started);
        Ok(())
    }

    /// Kills the broker at once (`SIGKILL`), as a crash would.
    ///
    /// # Errors
    /// If it is not ours.
    pub async fn kill(&self) -> Result<(), StackError> {
        if let Some(process) = self.ours()?.process.lock().await.take() {
            process.kill().await;
        }
        Ok(())
    }

    /// Stops it tidily.
    ///
    /// # Errors
    /// If it is not ours, or does not stop.
    pub async fn stop(&self) -> Result<(), StackError> {
        if let Some(process) = self.ours()?.process.lock().await.take() {
            process.stop(Signal::SIGTERM, STOP_PATIENCE).await?;
        }
        Ok(())
    }

    /// Freezes it: connections stay open and nothing answers. [`resume`](Self::resume) ends that.
    ///
    /// # Errors
    /// If it is not ours.
    pub async fn pause(&self) -> Result<(), StackError> {
        self.ours()?.process.lock().await.iter().for_each(Process::pause);
        Ok(())
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// If it is not ours.
    pub async fn resume(&self) -> Result<(), StackError> {
        self.ours()?.process.lock().await.iter().for_each(Process::resume);
        Ok(())
    }

    /// One of Kafka's own command-line tools, by the class that its script names.
    ///
    /// # Errors
    /// If the broker is not ours.
    pub fn tool(&self, class: &str) -> Result<Command, StackError> {
        Ok(self.ours()?.command(class, &[]))
    }

    /// Runs Kafka's own `kafka-transactions` with these arguments, and appends what it says to `output`.
    ///
    /// # Errors
    /// If the broker is not ours, or the tool fails or does not end.
    pub async fn tell_transactions(
        &self,
        arguments: &[&str],
        output: &Path,
    ) -> Result<(), StackError> {
        let mut command = self.tool("org.apache.kafka.tools.TransactionsCommand")?;
        command.args(["--bootstrap-server", &self.brokers]).args(arguments);
        run_to_end("kafka-transactions", command, output).await
    }

    /// Stops it tidily if it is ours.
    pub(super) async fn shut_down(&self) -> Result<(), StackError> {
        if self.ours.is_some() { self.stop().await } else { Ok(()) }
    }

    /// Whether the broker is there for clients. Before its port is open no client is made, which would only log that.
    async fn answers(&self) -> bool {
        if TcpStream::connect(&self.brokers).await.is_err() {
            return false;
        }
        let brokers = self.brokers.clone();
        tokio::task::spawn_blocking(move || {
            let client: Result<BaseConsumer, _> =
                ClientConfig::new().set("bootstrap.servers", brokers).create();
            client.is_ok_and(|client| {
                client
                    .fetch_metadata(None, METADATA_TIMEOUT)
                    .is_ok_and(|metadata| !metadata.brokers().is_empty())
            })
        })
        .await
        .unwrap_or(false)
    }

    fn ours(&self) -> Result<&Ours, StackError> {
        self.ours.as_ref().ok_or(StackError::NotOurs("Kafka"))
    }
}

/// The lines of `server.properties` that add the listeners behind something else to those of the broker and the controller.
fn behind((broker, controller): (u16, u16), pairs: &[(u16, u16)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let all = |line: &dyn Fn(usize, (u16, u16)) -> String| -> String {
        pairs.iter().enumerate().map(|(number, pair)| line(number, *pair)).collect()
    };
    let protocols = all(&|number, _| format!(",BEHIND{number}:PLAINTEXT"));
    let listeners = all(&|number, (port, _)| format!(",BEHIND{number}://127.0.0.1:{port}"));
    let told = all(&|number, (_, port)| format!(",BEHIND{number}://127.0.0.1:{port}"));
    format!(
        "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
         listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listeners}\n\
         advertised.listeners=BROKER://127.0.0.1:{broker}{told}"
    )
}

impl Ours {
    async fn format(&self, secured: Option<&Secured>) -> Result<(), StackError> {
        let mut command = self.command(
            "kafka.tools.StorageTool",
            &["format", "--cluster-id", CLUSTER_ID, "--config", "server.properties"],
        );
        for user in secured.map(Secured::scram).into_iter().flatten() {
            command.args(["--add-scram", &user]);
        }
        run_to_end("Kafka's format", command, &self.log).await
    }

    fn command(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.java);
        command
            .current_dir(&self.directory)
            .args(JVM)
            .args(self.jvm)
            // Its native libraries are unpacked there, and go with the directory.
            .arg(format!("-Djava.io.tmpdir={}", self.directory.display()))
            .arg(format!("-Dlog4j2.configurationFile={}/log4j2.properties", self.directory.display()))
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg(class)
            .args(arguments);
        command
    }
}

/// Runs a tool of Kafka's that ends by itself.
async fn run_to_end(name: &str, command: Command, log: &Path) -> Result<(), StackError> {
    let process = Process::spawn(name, command, log, Signal::SIGKILL)?;
    let status = process.ended(PATIENCE).await?;
    if status.success() { Ok(()) } else { Err(StackError::ended(name, status, log)) }
}
