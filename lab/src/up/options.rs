//! What `lab up` can be told.

use std::path::PathBuf;

use clap::Args;

/// Options of `lab up`.
#[derive(Args, Clone, Debug)]
pub struct UpOptions {
    /// Stop after the order; exit with 0 only if it reached COMPLETED.
    #[arg(long)]
    pub once: bool,
    /// Keep the data, and the logs, in this directory; temporary otherwise.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Use this PostgreSQL; the databases `store_manager` and `payments` are created in it.
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Use this Kafka; the store's topics are created in it.
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Listen on free ports instead of the usual ones.
    #[arg(long)]
    pub free_ports: bool,
}
