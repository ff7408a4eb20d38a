//! The wish to stop: asked for once, by a signal or by a task that failed, and seen by every task.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// How long a process may take to stop: the time for [`Tasks::run`](crate::Tasks::run). What still runs then is aborted.
pub const HARD_DEADLINE: Duration = Duration::from_secs(10);

/// Tells every holder of a clone that the process is to stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Nobody wants to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The wish of a part of the process to stop: this one's is its too, and not the other way round.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Asks everybody to stop. Asking again changes nothing.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until somebody asks.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}

/// Requests the shutdown on SIGTERM or SIGINT. Ends with it.
///
/// # Errors
/// If the signals cannot be listened for.
pub async fn on_signal(shutdown: Shutdown) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = shutdown.requested() => return Ok(()),
    };
    info!(signal = name, "stopping");
    shutdown.request();
    Ok(())
}
