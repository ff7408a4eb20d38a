//! `lab up`: the whole store on this machine, and one order on its way through it.

mod journey;
mod options;
mod paper;
mod ports;
mod steps;
mod store;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};

use crate::{
    output::{is_unread, say},
    signals, stack,
};
use journey::Ending;
use ports::Ports;
use store::Store;

pub use options::UpOptions;

/// How often the programs are looked at while `up` stays.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Brings the store up, sends one order through it, and stays until Ctrl-C or SIGTERM unless it is to do so once.
///
/// # Errors
/// If something does not start, a program ends by itself or, with `--once`, the order does not complete.
pub async fn run(options: UpOptions) -> anyhow::Result<()> {
    let ports = Ports::take(&options).await?;
    let logs = logs(&options)?;
    let up = async {
        let store = Store::start(&options, &ports, &logs).await?;
        let ending = journey::travel(&store).await?;
        anyhow::Ok((store, ending))
    };
    let (store, ending) = tokio::select! {
        up = up => up.map_err(|error| with_logs(error, &logs))?,
        stopped = signals::stop_requested() => {
            stopped?;
            return remove_passing(&options, &logs);
        }
    };
    if options.once {
        store.stop().await?;
        ending.into_result().map_err(|error| with_logs(error, &logs))?;
        return remove_passing(&options, &logs);
    }
    paper::print_addresses(&store, &ending, &logs)?;
    tokio::select! {
        died = watch(&store) => return died,
        stopped = signals::stop_requested() => stopped?,
    }
    say("stopping")?;
    // A second Ctrl-C stops at once.
    signals::unless_stopped(store.stop()).await?;
    remove_passing(&options, &logs)
}

/// Says where the logs of a run are that did not go well.
fn with_logs(error: anyhow::Error, logs: &Path) -> anyhow::Error {
    if is_unread(&error) {
        return error;
    }
    anyhow!("{error:#}\nall logs are in {}", logs.display())
}

/// Removes logs that nobody will look for: of a run on free ports that went well, or that somebody stopped.
fn remove_passing(options: &UpOptions, logs: &Path) -> anyhow::Result<()> {
    if options.free_ports && options.data.is_none() {
        fs::remove_dir_all(logs).context("could not remove the logs")?;
    }
    Ok(())
}

/// Ends, with an error, when one of the programs does.
async fn watch(store: &Store) -> anyhow::Result<()> {
    loop {
        for service in store.services() {
            if !service.is_running().await {
                let name = service.options().program.name();
                anyhow::bail!(
                    "{name} has ended by itself: its log {} says why",
                    service.log().display()
                );
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// An empty directory for the logs, which stay when all else goes. Runs on free ports may be several at once.
fn logs(options: &UpOptions) -> anyhow::Result<PathBuf> {
    let directory = match &options.data {
        Some(data) => data.join("logs"),
        None if options.free_ports => {
            stack::target_directory().join(format!("lab-logs/{}", std::process::id()))
        }
        None => stack::target_directory().join("lab-logs/up"),
    };
    if directory.exists() {
        fs::remove_dir_all(&directory).context("could not remove the logs of the run before")?;
    }
    fs::create_dir_all(&directory).context("could not create the directory of the logs")?;
    directory.canonicalize().context("could not find the directory of the logs")
}

impl Ending {
    /// An error unless the order completed.
    fn into_result(self) -> anyhow::Result<()> {
        if self.is_completed {
            return Ok(());
        }
        anyhow::bail!("the order ended {}, not COMPLETED: {}", self.state, self.reason)
    }
}
