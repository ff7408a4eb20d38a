//! The relay as a process: one task per source, and the admin server.

use std::sync::Arc;
use std::time::Duration;

use runtime::addresses::Addresses;
use runtime::admin::AdminServer;
use runtime::metrics::Registry;
use runtime::telemetry::ENDPOINT_VARIABLE;
use runtime::{Shutdown, Tasks};

use crate::config::RunOptions;
use crate::metrics::Metrics;
use crate::source::Source;
use crate::status::{SourcesHealth, Status};

/// What the tasks may take to stop.
const HARD_DEADLINE: Duration = Duration::from_secs(10);

/// A relay, bound and not yet running.
pub struct Service {
    admin: AdminServer,
    registry: Registry,
    sources: Vec<Source>,
}

impl Service {
    /// Checks the configuration and binds the admin address.
    pub async fn build(options: &RunOptions) -> anyhow::Result<Self> {
        let addresses = options.addresses()?;
        let admin = AdminServer::bind(options.admin_listen).await?;
        let address = admin.local_addr();
        tracing::info!(admin.address = %address, sources = addresses.len(), "listening");
        if let Some(path) = &options.addresses_file {
            runtime::addresses::write(path, &Addresses { grpc: None, admin: Some(address) })?;
        }
        // Spans that nobody gets would cost, and put parents into the headers that are nowhere to be found.
        let instance = instance();
        runtime::fail_points::arm(&options.fail_points);
        let tracing = std::env::var_os(ENDPOINT_VARIABLE).is_some_and(|url| !url.is_empty());
        let mut registry = runtime::metrics::registry();
        let metrics = Metrics::register(&mut registry);
        let sources = addresses
            .into_iter()
            .map(|address| {
                let metrics = metrics.source(&address.name);
                Source {
                    status: Arc::new(Status::new(&address.name, metrics.clone())),
                    name: address.name,
                    url: address.url,
                    instance: instance.clone(),
                    kafka: options.kafka.clone(),
                    delivery: options.delivery,
                    progress_topic: options.progress_topic.clone(),
                    limits: options.limits(),
                    partitions: options.partitions(),
                    tracing,
                    metrics,
                }
            })
            .collect();
        Ok(Self { admin, registry, sources })
    }

    /// Publishes until `SIGTERM` or `SIGINT`.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut tasks = Tasks::new();
        let health = SourcesHealth {
            sources: self.sources.iter().map(|source| Arc::clone(&source.status)).collect(),
        };
        let shutdown: Shutdown = tasks.shutdown();
        tasks.spawn("signals", runtime::shutdown::on_signal(shutdown.clone()));
        tasks.spawn(
            "admin",
            self.admin.serve(Arc::new(self.registry), Arc::new(health), shutdown.clone()),
        );
        for source in self.sources {
            let shutdown = shutdown.clone();
            tasks.spawn("source", async move {
                source.run(shutdown).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
        Ok(tasks.run(HARD_DEADLINE).await?)
    }
}

/// What an operator finds this process by: its host and its process id.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.is_empty() { "unknown host" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}
