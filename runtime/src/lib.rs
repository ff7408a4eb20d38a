//! What every process does around its work: it reads its configuration, tells what it does, starts tasks and stops them,
//! serves gRPC with the same limits everywhere, and answers its operator.
//!
//! A process is put together like this:
//! ```no_run
//! # use std::{net::SocketAddr, sync::Arc};
//! # use runtime::{Tasks, addresses::{self, Addresses}, admin::{AdminServer, Health}, grpc::{GrpcOptions, GrpcServer}};
//! # async fn run(listen: SocketAddr, admin: SocketAddr, options: GrpcOptions, routes: tonic::service::Routes,
//! #     health: Arc<dyn Health>) -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = runtime::telemetry::init("payments")?;
//! let mut registry = runtime::metrics::registry();
//! let grpc = GrpcServer::bind(listen, options).await?.metrics(&mut registry).reflection(b"");
//! let admin = AdminServer::bind(admin).await?;
//! let bound = Addresses { grpc: Some(grpc.local_addr()), admin: Some(admin.local_addr()) };
//! addresses::announce(None, bound)?;
//! let mut tasks = Tasks::new();
//! let shutdown = tasks.shutdown();
//! tasks.spawn("signals", runtime::shutdown::on_signal(shutdown.clone()));
//! tasks.spawn("admin", admin.serve(Arc::new(registry), health, shutdown.clone()));
//! tasks.spawn("grpc", grpc.serve(routes, &["store.payments.v1.PaymentService"], shutdown));
//! tasks.run(runtime::shutdown::HARD_DEADLINE).await?;
//! telemetry.shutdown();
//! # Ok(())
//! # }
//! ```

pub mod addresses;
pub mod admin;
pub mod config;
pub mod exit;
pub mod fail_points;
pub mod grpc;
mod listen;
pub mod metrics;
pub mod postgres;
pub mod shutdown;
mod tasks;
pub mod telemetry;
pub mod trace;

pub use listen::BindError;
pub use shutdown::Shutdown;
pub use tasks::{TaskError, Tasks, with_causes};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
