//! Listening on an address, with an error that says which setting to change.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: set {variable} to another address")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// The environment variable it came from.
    pub variable: &'static str,
    /// Why not, for example that the address is in use.
    pub source: io::Error,
}

/// Binds `address`, which came from `variable`. Port 0 is any free one.
pub(crate) async fn bind(
    address: SocketAddr,
    variable: &'static str,
) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError { address, variable, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_with_its_variable() {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let (_listener, taken) = bind(free, "GRPC_LISTEN").await.unwrap();
        let error = bind(taken, "GRPC_LISTEN").await.unwrap_err().to_string();
        assert!(error.contains("GRPC_LISTEN") && error.contains(&taken.to_string()), "{error}");
    }
}
