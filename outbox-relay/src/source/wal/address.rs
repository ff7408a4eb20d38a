//! Where the stream of changes is to be had: the same URL that sqlx reads, and by its rules.

use std::path::PathBuf;

use pgwire_replication::{ReplicationConfig, SslMode, TlsConfig};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The database of `url` as the replication client wants to have it. The rest is left as the client has it by default.
pub(super) fn address(url: &str) -> Result<ReplicationConfig, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    // Password and certificates are told by this URL only. A user or host that it cannot hold would make it panic.
    let lossy = options.clone().username("user").host("host").to_url_lossy();
    let file = |name: &str| {
        let (_, value) = lossy.query_pairs().find(|(key, _)| key == name)?;
        Some(PathBuf::from(value.strip_prefix("file: ").unwrap_or(&value)))
    };
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let user = options.get_username();
    let tls = TlsConfig {
        mode: ssl_mode(&options),
        ca_pem_path: file("sslrootcert"),
        // Without it the client refuses an address in the place of a name, even if the certificate is made out to it.
        sni_hostname: Some(options.get_host().to_owned()),
        client_cert_pem_path: file("sslcert"),
        client_key_pem_path: file("sslkey"),
    };
    let database = options.get_database().unwrap_or(user);
    let password = password(lossy.password().unwrap_or_default());
    Ok(ReplicationConfig::new(host, user, password, database, "", "")
        .with_port(options.get_port())
        .with_tls(tls))
}

fn ssl_mode(options: &PgConnectOptions) -> SslMode {
    if options.get_socket().is_some() {
        return SslMode::Disable;
    }
    match options.get_ssl_mode() {
        PgSslMode::Disable => SslMode::Disable,
        PgSslMode::Allow | PgSslMode::Prefer => SslMode::Prefer,
        PgSslMode::Require => SslMode::Require,
        PgSslMode::VerifyCa => SslMode::VerifyCa,
        PgSslMode::VerifyFull => SslMode::VerifyFull,
    }
}

/// A password as it is, from how it stands in a URL.
fn password(encoded: &str) -> String {
    let mut bytes = encoded.bytes();
    let mut decoded = Vec::with_capacity(encoded.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte.unwrap_or_default()).to_digit(16);
        let mut ahead = bytes.clone();
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                bytes = ahead;
            }
            (other, _, _) => decoded.push(other),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_sqlx_reads_is_handed_over() {
        let address = address(
            "postgres://me:p%40ss%25+%C3%BC@db.example:5433/shop?sslmode=verify-full&sslrootcert=/ca.pem\
             &sslcert=/me.pem&sslkey=/me.key",
        )
        .unwrap();
        assert_eq!((address.host.as_str(), address.port), ("db.example", 5433));
        assert_eq!((address.user.as_str(), address.password.as_str()), ("me", "p@ss%+ü"));
        assert_eq!(address.database, "shop");
        assert_eq!(address.tls.mode, SslMode::VerifyFull);
        assert_eq!(address.tls.ca_pem_path, Some("/ca.pem".into()));
        assert_eq!(address.tls.client_cert_pem_path, Some("/me.pem".into()));
        assert_eq!(address.tls.client_key_pem_path, Some("/me.key".into()));
    }

    #[test]
    fn a_socket_has_no_tls_and_the_database_is_the_users_if_not_named() {
        let address = address("postgres://me@localhost?host=/run/postgresql").unwrap();
        assert_eq!((address.host.as_str(), address.database.as_str()), ("/run/postgresql", "me"));
        assert_eq!(address.tls.mode, SslMode::Disable);
    }
}
