//! The supervisor: every task has a name, the first that fails stops the others, and one that does not stop is aborted.

use std::{collections::HashMap, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tracing::{error, warn};

use crate::{BoxError, Shutdown};

/// Why a process ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task failed.
    #[error("the task {name} failed")]
    Failed {
        /// Its name.
        name: &'static str,
        /// What it said.
        source: BoxError,
    },
    /// A task panicked.
    #[error("the task {name} panicked")]
    Panicked {
        /// Its name.
        name: &'static str,
        /// What became of it.
        source: JoinError,
    },
    /// Tasks did not stop in time and were aborted.
    #[error("these tasks did not stop in time: {}", .names.join(", "))]
    Deaf {
        /// Their names.
        names: Vec<&'static str>,
    },
}

/// The tasks of a process.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, &'static str>,
    shutdown: Shutdown,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No tasks yet; those to come stop with `shutdown`, or by themselves before.
    #[must_use]
    pub fn below(shutdown: &Shutdown) -> Self {
        Self { shutdown: shutdown.child(), ..Self::default() }
    }

    /// The wish to stop that these tasks share.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Starts a task. It is to end soon after the shutdown is requested; if it ends before, the others go on.
    pub fn spawn<E: Into<BoxError>>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.set.spawn(async { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name);
    }

    /// Waits until all tasks have ended. The first failure requests the shutdown, and is the answer; once the shutdown is
    /// requested, tasks that go on for longer than `hard_deadline` are aborted.
    ///
    /// # Errors
    /// The first failure, or the tasks that had to be aborted.
    pub async fn run(mut self, hard_deadline: Duration) -> Result<(), TaskError> {
        let mut first = None;
        let shutdown = self.shutdown();
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.join(&mut first) => return first.map_or(Ok(()), Err),
        }
        if timeout(hard_deadline, self.join(&mut first)).await.is_err() {
            let mut names: Vec<_> = self.names.into_values().collect();
            names.sort_unstable();
            warn!(tasks = ?names, "aborting tasks that did not stop in time");
            first.get_or_insert(TaskError::Deaf { names });
        }
        first.map_or(Ok(()), Err)
    }

    /// Joins all tasks. May be dropped at any await and called again.
    async fn join(&mut self, first: &mut Option<TaskError>) {
        while let Some(ended) = self.set.join_next_with_id().await {
            let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            let name = self.names.remove(&id).unwrap_or("unnamed");
            let failure = match ended {
                Ok((_, Ok(()))) => continue,
                Ok((_, Err(source))) => TaskError::Failed { name, source },
                Err(source) => TaskError::Panicked { name, source },
            };
            error!(task = name, error = with_causes(&failure), "stopping because a task failed");
            first.get_or_insert(failure);
            self.shutdown.request();
        }
    }
}

/// The error and what caused it, in one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_first_failure_stops_the_others() {
        let mut tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        tasks.spawn("obedient", async move {
            shutdown.requested().await;
            Ok::<_, BoxError>(())
        });
        tasks.spawn("failing", async { Err::<(), _>("no") });
        assert!(matches!(tasks.run(LATE).await, Err(TaskError::Failed { name: "failing", .. })));
    }

    #[tokio::test]
    async fn a_deaf_task_is_aborted_at_the_deadline() {
        let mut tasks = Tasks::new();
        tasks.spawn("deaf", pending::<Result<(), BoxError>>());
        tasks.shutdown().request();
        let Err(TaskError::Deaf { names }) = tasks.run(SOON).await else { panic!("it is deaf") };
        assert_eq!(names, ["deaf"]);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let mut tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        tasks.spawn("obedient", async move {
            shutdown.requested().await;
            Ok::<_, BoxError>(())
        });
        tasks.spawn::<BoxError>("panicking", async { panic!("on purpose") });
        assert!(matches!(
            tasks.run(LATE).await,
            Err(TaskError::Panicked { name: "panicking", .. })
        ));
    }

    #[tokio::test]
    async fn tasks_below_others_stop_with_them_and_without_them() {
        let all = Shutdown::new();
        let (alone, with_all) = (Tasks::below(&all), Tasks::below(&all));
        alone.shutdown().request();
        assert!(!all.is_requested() && !with_all.shutdown().is_requested());
        all.request();
        assert!(with_all.shutdown().is_requested());
    }

    #[tokio::test]
    async fn tasks_that_all_end_are_success() {
        let mut tasks = Tasks::new();
        tasks.spawn("short", async { Ok::<_, BoxError>(()) });
        assert!(tasks.run(LATE).await.is_ok());
    }
}
