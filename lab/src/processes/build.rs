//! Builds the binaries with the profile this program was built with: an integration test of one package does not build
//! another package's. Where they have been built already, `LAB_BINARIES` names their directory, and nothing is built.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use thiserror::Error;
use tokio::{process::Command, sync::OnceCell};

use crate::stack;

/// Why there are no binaries.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Cargo could not be started, or the directory given instead not be found.
    #[error(
        "could not run cargo: give the directory of the binaries as LAB_BINARIES, or set CARGO"
    )]
    Cargo(#[source] io::Error),
    /// What cargo says is above, on standard error.
    #[error("`{command}` ended with {status}: see its output")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Builds all binaries of the workspace, once in this process; answers their directory. Takes half a second if they are
/// built already.
///
/// # Errors
/// If cargo cannot be run, or fails.
pub async fn build() -> Result<&'static Path, BuildError> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT.get_or_try_init(run).await.map(PathBuf::as_path)
}

/// Cargo, without what the cargo that runs this program has said of this program: some build scripts look at it, and would
/// run again, and all that depends on them, each time a build is started from here and then from a shell.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let said =
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|name| said.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

async fn run() -> Result<PathBuf, BuildError> {
    if let Some(directory) = env::var_os("LAB_BINARIES") {
        return std::path::absolute(directory).map_err(BuildError::Cargo);
    }
    let directory = stack::profile_directory().to_owned();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--workspace", "--bins", "--profile", profile])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let status = command.status().await.map_err(BuildError::Cargo)?;
    if status.success() {
        Ok(directory)
    } else {
        let command = format!("cargo build --workspace --bins --profile {profile}");
        Err(BuildError::Failed { command, status })
    }
}
