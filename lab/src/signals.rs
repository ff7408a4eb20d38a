//! Ctrl-C and SIGTERM.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM, from this call on.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn stop_requested() -> impl Future<Output = io::Result<()>> {
    let installed = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    async {
        let (mut interrupt, mut terminate) = installed?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
}

/// Runs `work` to its end, or until a stop is requested: then it is dropped, and with it all that it had started.
///
/// # Errors
/// As `work`.
pub async fn unless_stopped(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        result = work => result,
        stopped = stop_requested() => Ok(stopped?),
    }
}
