//! The relay as a process: the sources, and the admin server.

use std::sync::Arc;

use anyhow::Context;
use runtime::Tasks;
use runtime::addresses::Addresses;
use runtime::admin::AdminServer;
use runtime::metrics::Registry;
use runtime::shutdown::HARD_DEADLINE;
use runtime::telemetry::ENDPOINT_VARIABLE;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::RunOptions;
use crate::health::SourcesHealth;
use crate::metrics::Metrics;
use crate::sources::SourceAddress;
use crate::supervisor::{Common, Supervisor};

/// A relay, bound and not yet running.
pub struct Service {
    admin: AdminServer,
    registry: Registry,
    sources: Vec<SourceAddress>,
    common: Common,
    hangups: Signal,
}

impl Service {
    /// Checks the configuration and binds the admin address.
    pub async fn build(options: &RunOptions) -> anyhow::Result<Self> {
        let sources = options.sources.read()?;
        // From here on a SIGHUP does not end the process.
        let hangups = signal(SignalKind::hangup()).context("SIGHUP cannot be listened for")?;
        let admin = AdminServer::bind(options.admin_listen).await?;
        let address = admin.local_addr();
        tracing::info!(admin.address = %address, sources = sources.len(), "listening");
        if let Some(path) = &options.addresses_file {
            runtime::addresses::write(path, &Addresses { grpc: None, admin: Some(address) })?;
        }
        runtime::fail_points::arm(&options.fail_points);
        let mut registry = runtime::metrics::registry();
        let common = Common {
            options: options.clone(),
            instance: instance(),
            // Spans that nobody gets would cost, and put parents into the headers that are nowhere to be found.
            tracing: std::env::var_os(ENDPOINT_VARIABLE).is_some_and(|url| !url.is_empty()),
            metrics: Metrics::register(&mut registry),
            health: Arc::new(SourcesHealth::default()),
        };
        Ok(Self { admin, registry, sources, common, hangups })
    }

    /// Publishes until `SIGTERM` or `SIGINT`.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        let health = Arc::clone(&self.common.health);
        tasks.spawn("signals", runtime::shutdown::on_signal(shutdown.clone()));
        tasks.spawn("admin", self.admin.serve(Arc::new(self.registry), health, shutdown.clone()));
        let supervisor = Supervisor::new(self.common, self.hangups, shutdown);
        tasks.spawn("sources", supervisor.run(self.sources));
        Ok(tasks.run(HARD_DEADLINE).await?)
    }
}

/// What an operator finds this process by: its host and its process id.
pub(crate) fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.is_empty() { "unknown host" } else { host.trim() };
    format!("{host}:{}", std::process::id())
}
