//! What can go wrong with the stack, each said with its cause, its log and, where there is one, its cure.

use std::{fs, io, path::Path, path::PathBuf, process::ExitStatus, time::Duration};

use thiserror::Error;

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 15;

/// Why the stack could not do what it was asked for.
#[derive(Debug, Error)]
pub enum StackError {
    /// A program the stack needs is not on this machine.
    #[error("{program} was not found: {cure}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What to do about it.
        cure: &'static str,
    },
    /// The Java on this machine is older than Kafka wants.
    #[error("Java {found} is too old for Kafka: install Java 17 or later, or set JAVA_HOME to one")]
    OldJava {
        /// Its version, as it says.
        found: String,
    },
    /// There are no PostgreSQL binaries for this kind of machine.
    #[error("there is no PostgreSQL for {0} on Maven Central: give your own with --postgres")]
    Platform(String),
    /// Somebody else listens where the stack wants to.
    #[error("port {port} ({what}) is taken: stop what listens there{cure}")]
    PortTaken {
        /// The port.
        port: u16,
        /// What wanted it.
        what: &'static str,
        /// What else can be done.
        cure: &'static str,
    },
    /// The directory is in use by another run.
    #[error("{0} is in use by another run of lab: stop that one or choose another directory")]
    DirectoryInUse(PathBuf),
    /// A directory that is not to be removed.
    #[error("{0} is not a directory that a run of lab has made for itself")]
    NotTemporary(PathBuf),
    /// PostgreSQL refuses to run as root, and the user it would run as cannot get there.
    #[error(
        "{0} cannot be reached by `nobody`, as whom PostgreSQL runs when lab is root: choose another directory"
    )]
    Unreachable(PathBuf),
    /// A program ended that should have gone on, or failed.
    #[error("{name} ended with {status}; its log {} ends so:\n{tail}", log.display())]
    Ended {
        /// The program.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A program does not get there.
    #[error("{name} is not {state} after {} s; its log {} ends so:\n{tail}", waited.as_secs(), log.display())]
    TooSlow {
        /// The program.
        name: String,
        /// What was waited for.
        state: &'static str,
        /// For how long.
        waited: Duration,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server of somebody else can be used, but not stopped or started.
    #[error("{0} was not started by lab, so lab does not stop or start it")]
    NotOurs(&'static str),
    /// A name that could mean something else in SQL.
    #[error("`{0}` is no name for a database here: only a-z, 0-9 and _")]
    DatabaseName(String),
    /// The file system or the operating system refused.
    #[error("could not {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// PostgreSQL refused.
    #[error("could not {what}")]
    Sql {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A template's migration failed.
    #[error("could not migrate the template {name}")]
    Migrate {
        /// The template.
        name: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StackError {
    /// `name` ended; shows the end of its log.
    pub(crate) fn ended(name: &str, status: ExitStatus, log: &Path) -> Self {
        Self::Ended { name: name.to_owned(), status, log: log.to_owned(), tail: tail(log) }
    }

    /// `name` did not reach `state`; shows the end of its log.
    pub(crate) fn too_slow(name: &str, state: &'static str, waited: Duration, log: &Path) -> Self {
        Self::TooSlow { name: name.to_owned(), state, waited, log: log.to_owned(), tail: tail(log) }
    }
}

/// Turns an [`io::Error`] into one that says what was tried.
pub(crate) fn could_not(what: impl Into<String>) -> impl FnOnce(io::Error) -> StackError {
    let what = what.into();
    move |source| StackError::Io { what, source }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
