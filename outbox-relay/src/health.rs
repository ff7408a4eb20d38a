//! Whether the process as a whole is ready, and what each source says of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use runtime::admin::{Health, HealthReport};
use serde_json::{Value, json};

use crate::status::Status;

/// The health of all sources together. Which these are can change.
#[derive(Debug, Default)]
pub(crate) struct SourcesHealth {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sources: BTreeMap<String, Arc<Status>>,
    /// Why the file of sources was not taken when it was last read.
    refused: Option<String>,
}

impl SourcesHealth {
    /// A source is served from now on.
    pub(crate) fn add(&self, name: &str, status: Arc<Status>) {
        self.lock().sources.insert(name.to_owned(), status);
    }

    /// A source is served no more.
    pub(crate) fn remove(&self, name: &str) {
        self.lock().sources.remove(name);
    }

    /// The file of sources was read: taken, or why not.
    pub(crate) fn reloaded(&self, refused: Option<String>) {
        self.lock().refused = refused;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> HealthReport {
        let state = self.lock();
        let mut ok = true;
        let sources: serde_json::Map<String, Value> = state
            .sources
            .iter()
            .map(|(name, status)| {
                let (ready, body) = status.report();
                ok &= ready;
                (name.clone(), body)
            })
            .collect();
        // What is served goes on as before, so this is told and is no reason to be unready.
        HealthReport { ok, body: json!({ "sources": sources, "sources_file": state.refused }) }
    }
}

impl Health for SourcesHealth {
    fn ready(&self) -> BoxFuture<'_, HealthReport> {
        Box::pin(std::future::ready(self.report()))
    }

    fn live(&self) -> BoxFuture<'_, HealthReport> {
        Box::pin(std::future::ready(HealthReport { ok: true, body: json!({}) }))
    }
}
