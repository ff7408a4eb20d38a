//! The URL of one database, made from that of a server.

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

#[cfg(test)]
mod tests {
    use super::with_database;

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
