//! The operator's HTTP server: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever runs the process.
//!
//! `/livez` and `/readyz` answer 200 or 503 with the report's body as JSON; `/metrics` answers OpenMetrics text. On shutdown the
//! server stops at once: a process that stops is not ready.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use prometheus_client::encoding::text::encode;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};
use tracing::error;

use crate::{BindError, Shutdown, listen, metrics::Registry};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The variable that a process takes its admin address from.
pub const ADMIN_LISTEN: &str = "ADMIN_LISTEN";

/// How a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// Whether the answer is 200 or 503.
    pub ok: bool,
    /// The details, for people and programs.
    pub body: Value,
}

/// Tells how a process is. A report that takes longer than 5 s counts as a bad one.
pub trait Health: Send + Sync {
    /// Whether it can do its work now.
    fn ready(&self) -> BoxFuture<'_, HealthReport>;
    /// Whether it is worth keeping; if not, only a restart helps.
    fn live(&self) -> BoxFuture<'_, HealthReport>;
}

/// The server, bound and not yet serving.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl AdminServer {
    /// Binds `address`, which comes from `ADMIN_LISTEN`.
    ///
    /// # Errors
    /// [`BindError`] if it is taken or not of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let (listener, local_addr) = listen::bind(address, ADMIN_LISTEN).await?;
        Ok(Self { listener, local_addr })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the shutdown is requested.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(
        self,
        registry: Arc<Registry>,
        health: Arc<dyn Health>,
        shutdown: Shutdown,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/livez", get(live))
            .route("/readyz", get(ready))
            .with_state(health)
            .merge(Router::new().route("/metrics", get(metrics)).with_state(registry));
        tokio::select! {
            served = async { axum::serve(self.listener, router).await } => served,
            () = shutdown.requested() => Ok(()),
        }
    }
}

async fn live(State(health): State<Arc<dyn Health>>) -> Response {
    answer(health.live()).await
}

async fn ready(State(health): State<Arc<dyn Health>>) -> Response {
    answer(health.ready()).await
}

async fn answer(report: BoxFuture<'_, HealthReport>) -> Response {
    let late = |_| HealthReport { ok: false, body: json!({ "error": "no answer within 5 s" }) };
    let report = timeout(REPORT_TIMEOUT, report).await.unwrap_or_else(late);
    let status = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, "application/json")], report.body.to_string()).into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
