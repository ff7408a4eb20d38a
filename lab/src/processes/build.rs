//! Builds the binaries with the profile this program was built with: an integration test of one package does not build
//! another package's. Where they have been built already, `LAB_BINARIES` names their directory, and nothing is built.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use thiserror::Error;
use tokio::{process::Command, sync::OnceCell};

use super::Program;
use crate::stack;

/// Why there are no binaries.
#[derive(Debug, Error)]
pub enum BuildError {
    /// `LAB_BINARIES` names a directory without all programs.
    #[error(
        "LAB_BINARIES is {}, where there is no {program}: give the directory that has the programs, or unset it to have them built",
        directory.display()
    )]
    Given {
        /// What it names.
        directory: PathBuf,
        /// A program that is not there.
        program: &'static str,
    },
    /// Cargo could not be started.
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
        return given(Path::new(&directory));
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

/// The directory that was given, if every program is there.
fn given(directory: &Path) -> Result<PathBuf, BuildError> {
    let missing = Program::ALL.iter().find(|program| !directory.join(program.name()).is_file());
    match missing {
        Some(program) => {
            Err(BuildError::Given { directory: directory.to_owned(), program: program.name() })
        }
        None => std::path::absolute(directory).map_err(BuildError::Cargo),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_without_a_program_is_refused_by_what_it_lacks() {
        let directory = env::temp_dir().join(format!("binaries-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("store-manager"), "").unwrap();
        let told = given(&directory).unwrap_err().to_string();
        let expected =
            format!("LAB_BINARIES is {}, where there is no payments: ", directory.display());
        assert!(told.starts_with(&expected), "{told}");
        for program in ["payments", "outbox-relay"] {
            fs::write(directory.join(program), "").unwrap();
        }
        assert_eq!(given(&directory).unwrap(), directory);
        fs::remove_dir_all(directory).unwrap();
    }
}
