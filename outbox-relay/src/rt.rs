//! stub
#![allow(missing_docs, unreachable_pub, dead_code)]
use std::sync::Arc;
#[derive(Clone)]
pub struct Shutdown(Arc<tokio::sync::watch::Sender<bool>>);
impl Shutdown {
    pub async fn requested(&self) { let mut r = self.0.subscribe(); let _ = r.wait_for(|x| *x).await; }
    pub fn is_requested(&self) -> bool { *self.0.borrow() }
    pub fn request(&self) { self.0.send_replace(true); }
}
pub struct Tasks { s: Shutdown, set: std::sync::Mutex<tokio::task::JoinSet<()>> }
impl Tasks {
    pub fn new() -> Self { Self { s: Shutdown(Arc::new(tokio::sync::watch::channel(false).0)), set: Default::default() } }
    pub fn shutdown(&self) -> Shutdown { self.s.clone() }
    pub fn spawn<E: std::fmt::Display + 'static>(&self, _n: &'static str, f: impl Future<Output = Result<(), E>> + Send + 'static) { self.set.lock().unwrap().spawn(async move { if let Err(e) = f.await { eprintln!("{e}"); } }); }
    pub async fn run(self, _d: std::time::Duration) -> Result<(), std::io::Error> { let mut s = self.set.into_inner().unwrap(); while s.join_next().await.is_some() {} Ok(()) }
}
pub mod shutdown { pub async fn on_signal(s: super::Shutdown) -> Result<(), std::io::Error> {
    let mut t = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    tokio::select!{ _ = tokio::signal::ctrl_c() => (), _ = t.recv() => (), () = s.requested() => () } ; s.request(); Ok(()) } }
pub mod metrics { pub use prometheus_client::registry::Registry; pub fn registry() -> Registry { Registry::with_prefix("store") } }
pub mod addresses { pub fn write(_p: &std::path::Path, _g: Option<std::net::SocketAddr>, _a: Option<std::net::SocketAddr>) -> std::io::Result<()> { Ok(()) } }
pub mod telemetry { pub struct T; impl T { pub fn shutdown(self) {} } pub fn init(_n: &str) -> Result<T, std::io::Error> { Ok(T) } }
pub mod trace { #[derive(Debug, Clone, Default)] pub struct TraceContext { pub traceparent: Option<String>, pub tracestate: Option<String> }
    impl TraceContext { pub fn current() -> Self { Self::default() } } pub fn set_parent(_s: &tracing::Span, _c: &TraceContext) {} }
pub mod admin { use futures::future::BoxFuture; use std::sync::Arc;
    pub struct HealthReport { pub ok: bool, pub body: serde_json::Value }
    pub trait Health: Send + Sync { fn ready(&self) -> BoxFuture<'_, HealthReport>; fn live(&self) -> BoxFuture<'_, HealthReport>; }
    pub struct AdminServer(tokio::net::TcpListener);
    impl AdminServer { pub async fn bind(a: std::net::SocketAddr) -> std::io::Result<Self> { Ok(Self(tokio::net::TcpListener::bind(a).await?)) }
      pub fn local_addr(&self) -> std::net::SocketAddr { self.0.local_addr().unwrap() }
      pub async fn serve(self, _r: Arc<super::metrics::Registry>, h: Arc<dyn Health>, s: super::Shutdown) -> Result<(), std::io::Error> {
        while !s.is_requested() { tokio::select!{ () = s.requested() => (), () = tokio::time::sleep(std::time::Duration::from_secs(2)) => { let r = h.ready().await; eprintln!("{} {}", r.ok, r.body); } } } Ok(()) } } }
