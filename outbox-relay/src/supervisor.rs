//! Starts the sources and, when their file is read again, stops those that went and starts those that came.
//!
//! A source that did not change is not touched. One whose URL changed is stopped first: a name stands for one table, and its
//! progress is kept by one relay.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use runtime::shutdown::HARD_DEADLINE;
use runtime::{Shutdown, TaskError, Tasks};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::config::RunOptions;
use crate::health::SourcesHealth;
use crate::metrics::Metrics;
use crate::source::Source;
use crate::sources::{SourceAddress, read_file};
use crate::status::Status;

/// What all sources of the process have in common.
pub(crate) struct Common {
    pub(crate) options: RunOptions,
    /// The host and process id of this relay.
    pub(crate) instance: String,
    /// Whether each record gets a span of its own.
    pub(crate) tracing: bool,
    pub(crate) metrics: Metrics,
    pub(crate) health: Arc<SourcesHealth>,
}

/// A source that is served.
struct Running {
    url: SecretString,
    shutdown: Shutdown,
}

/// How a source ended, and which.
type Ended = (String, Result<(), TaskError>);

/// The sources of the process.
pub(crate) struct Supervisor {
    common: Common,
    hangups: Signal,
    shutdown: Shutdown,
    running: BTreeMap<String, Running>,
    ending: FuturesUnordered<BoxFuture<'static, Ended>>,
}

impl Supervisor {
    /// Nothing runs yet. `hangups` are the wishes to read the file again.
    pub(crate) fn new(common: Common, hangups: Signal, shutdown: Shutdown) -> Self {
        let ending = FuturesUnordered::new();
        Self { common, hangups, shutdown, running: BTreeMap::new(), ending }
    }

    /// Serves `sources`, or what the file says later, until the shutdown is requested. A source fails never by itself; if one panics,
    /// that is the answer.
    pub(crate) async fn run(mut self, sources: Vec<SourceAddress>) -> Result<(), TaskError> {
        for source in sources {
            self.start(source);
        }
        while !self.shutdown.is_requested() {
            tokio::select! {
                () = self.shutdown.requested() => {}
                _hangup = self.hangups.recv() => self.reload().await?,
                Some((_, ended)) = self.ending.next() => ended?,
            }
        }
        while let Some((_, ended)) = self.ending.next().await {
            ended?;
        }
        Ok(())
    }

    fn start(&mut self, source: SourceAddress) {
        let (name, url) = (source.name.clone(), source.url.clone());
        let mut tasks = Tasks::below(&self.shutdown);
        let shutdown = tasks.shutdown();
        self.running.insert(name.clone(), Running { url, shutdown: shutdown.clone() });
        let source = self.common.source(source);
        tasks.spawn("source", async move {
            source.run(shutdown).await;
            Ok::<(), Infallible>(())
        });
        self.ending.push(Box::pin(async move { (name, tasks.run(HARD_DEADLINE).await) }));
    }

    /// Reads the file again. What it says is taken as a whole or not at all.
    async fn reload(&mut self) -> Result<(), TaskError> {
        let Some(path) = self.common.options.sources.sources_file.clone() else {
            tracing::warn!(
                "SIGHUP changes nothing: the sources are given on the command line, not in a file"
            );
            return Ok(());
        };
        match read_file(&path) {
            Ok(sources) => {
                self.common.reloaded(&path, None);
                self.change_to(sources).await
            }
            Err(error) => {
                self.common.reloaded(&path, Some(error.to_string()));
                Ok(())
            }
        }
    }

    async fn change_to(&mut self, sources: Vec<SourceAddress>) -> Result<(), TaskError> {
        let (kept, new): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|source| self.runs_already(source));
        let (changed, added): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|source| self.running.contains_key(&source.name));
        let kept: BTreeSet<&str> = kept.iter().map(|source| source.name.as_str()).collect();
        let stopping: Vec<String> =
            self.running.keys().filter(|name| !kept.contains(name.as_str())).cloned().collect();
        let counts = [added.len(), changed.len(), stopping.len() - changed.len(), kept.len()];
        added.into_iter().for_each(|source| self.start(source));
        self.stop(stopping).await?;
        changed.into_iter().for_each(|source| self.start(source));
        let [added, changed, removed, unchanged] = counts;
        tracing::info!(added, changed, removed, unchanged, "the sources are changed");
        Ok(())
    }

    fn runs_already(&self, source: &SourceAddress) -> bool {
        let running = self.running.get(&source.name);
        running.is_some_and(|running| running.url.expose_secret() == source.url.expose_secret())
    }

    /// Stops sources as at the end of the process, and forgets them.
    async fn stop(&mut self, names: Vec<String>) -> Result<(), TaskError> {
        let mut waiting: BTreeSet<String> = BTreeSet::new();
        for name in names {
            if let Some(running) = self.running.remove(&name) {
                running.shutdown.request();
                waiting.insert(name);
            }
        }
        while !waiting.is_empty()
            && let Some((name, ended)) = self.ending.next().await
        {
            match ended {
                // It is aborted then, which loses nothing.
                Ok(()) | Err(TaskError::Deaf { .. }) => {}
                Err(error @ (TaskError::Failed { .. } | TaskError::Panicked { .. })) => {
                    return Err(error);
                }
            }
            if waiting.remove(&name) {
                self.common.health.remove(&name);
                self.common.metrics.forget(&name);
            }
        }
        Ok(())
    }
}

impl Common {
    fn source(&self, address: SourceAddress) -> Source {
        let metrics = self.metrics.source(&address.name);
        let status = Arc::new(Status::new(&address.name, metrics.clone()));
        self.health.add(&address.name, Arc::clone(&status));
        Source {
            name: address.name,
            url: address.url,
            instance: self.instance.clone(),
            kafka: self.options.kafka.clone(),
            delivery: self.options.delivery,
            progress_topic: self.options.progress_topic.clone(),
            limits: self.options.limits(),
            partitions: self.options.partitions(),
            feed: self.options.feed(),
            published: watch::Sender::default(),
            tracing: self.tracing,
            metrics,
            status,
        }
    }

    fn reloaded(&self, path: &Path, refused: Option<String>) {
        self.metrics.reloaded(refused.is_none());
        match &refused {
            None => tracing::info!(path = %path.display(), "the file of sources is read again"),
            Some(reason) => tracing::error!(
                path = %path.display(),
                reason,
                "the file of sources is wrong, and the sources stay as they are"
            ),
        }
        self.health.reloaded(refused);
    }
}
