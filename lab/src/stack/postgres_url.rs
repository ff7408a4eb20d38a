//! The URL of one database, made from that of a server.

use std::net::SocketAddr;

/// `server` with its database replaced by `name`; host, user, password and parameters stay.
pub(super) fn with_database(server: &str, name: &str) -> String {
    let (base, parameters) = match server.split_once('?') {
        Some((base, parameters)) => (base, format!("?{parameters}")),
        None => (server, String::new()),
    };
    let authority = base.find("://").map_or(0, |colon| colon + 3);
    let end = base[authority..].find('/').map_or(base.len(), |slash| authority + slash);
    format!("{}/{name}{parameters}", &base[..end])
}

/// Where the server of `url` listens.
pub(crate) fn address(url: &str) -> Option<SocketAddr> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    authority.rsplit('@').next()?.parse().ok()
}

/// `url` with its server at `address`.
pub(crate) fn at(url: &str, address: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{user}@{address}{rest}"),
        None => format!("{scheme}://{address}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_where_its_server_is_and_can_be_sent_elsewhere() {
        let there = SocketAddr::from(([127, 0, 0, 1], 7));
        let url = "postgres://me@127.0.0.1:5432/orders?sslmode=disable";
        assert_eq!(address(url), Some(SocketAddr::from(([127, 0, 0, 1], 5432))));
        assert_eq!(at(url, there), "postgres://me@127.0.0.1:7/orders?sslmode=disable");
        assert_eq!(at("postgres://host/orders", there), "postgres://127.0.0.1:7/orders");
    }

    #[test]
    fn only_the_database_changes() {
        for (server, expected) in [
            ("postgres://localhost", "postgres://localhost/x"),
            ("postgres://me:secret@host:5432/other", "postgres://me:secret@host:5432/x"),
            ("postgres://host/other?sslmode=require", "postgres://host/x?sslmode=require"),
            ("postgres://host?sslmode=require", "postgres://host/x?sslmode=require"),
        ] {
            assert_eq!(with_database(server, "x"), expected);
        }
    }
}
