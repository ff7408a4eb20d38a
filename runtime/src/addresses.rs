//! Where a process listens, told to people in the log and to programs in a file: with port 0 nobody knows it before.

use std::{fs, io, net::SocketAddr, path::Path};

use serde::{Deserialize, Serialize};
use tracing::info;

/// The bound addresses of a process; in the file those that are `None` are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<SocketAddr>,
    /// `/metrics`, `/livez`, `/readyz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
}

/// The addresses file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the addresses file {path}: set ADDRESSES_FILE to another path")]
pub struct AddressesError {
    path: String,
    source: io::Error,
}

/// Logs the addresses and, if a `file` (ADDRESSES_FILE) is wanted, writes them there.
///
/// # Errors
/// As [`write`].
pub fn announce(file: Option<&Path>, addresses: Addresses) -> Result<(), AddressesError> {
    info!(
        grpc.address = addresses.grpc.map(tracing::field::display),
        admin.address = addresses.admin.map(tracing::field::display),
        "listening"
    );
    file.map_or(Ok(()), |file| write(file, &addresses))
}

/// Writes `{"grpc":"127.0.0.1:1234","admin":"127.0.0.1:1235"}` to `path`: whole or not at all.
///
/// # Errors
/// If the file, or the unfinished one beside it, cannot be written.
pub fn write(path: &Path, addresses: &Addresses) -> Result<(), AddressesError> {
    let failed = |source| AddressesError { path: path.display().to_string(), source };
    let json = serde_json::to_vec(addresses).map_err(io::Error::from).map_err(failed)?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    fs::write(&unfinished, json).and_then(|()| fs::rename(&unfinished, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json_and_read_again() {
        let path = std::env::temp_dir().join(format!("addresses-{}.json", uuid::Uuid::now_v7()));
        let addresses = Addresses { grpc: None, admin: Some(([127, 0, 0, 1], 9101).into()) };
        write(&path, &addresses).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"admin":"127.0.0.1:9101"}"#);
        assert_eq!(serde_json::from_str::<Addresses>(&text).unwrap(), addresses);
        fs::remove_file(path).unwrap();
    }
}
