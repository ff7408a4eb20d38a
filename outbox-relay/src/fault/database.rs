//! What PostgreSQL and the way to it say, by their codes.

use std::io;

use runtime::with_causes;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnectOptions;

use crate::fault::Fault;

/// How reaching a host fails where the network does not let through.
const UNREACHABLE: [io::ErrorKind; 3] =
    [io::ErrorKind::TimedOut, io::ErrorKind::HostUnreachable, io::ErrorKind::NetworkUnreachable];

impl Fault {
    /// Why a database's URL is no use.
    pub(crate) fn of_url(error: &sqlx::Error) -> Self {
        Self::new(
            format!("the database's URL is not understood ({error})"),
            "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        )
    }

    /// Why no connection comes about.
    pub(crate) fn of_connecting(error: &sqlx::Error, to: &PgConnectOptions) -> Self {
        let place = format!("{}:{}", to.get_host(), to.get_port());
        if let sqlx::Error::Io(error) = error {
            return Self::of_certificate(error, &place)
                .unwrap_or_else(|| Self::of_reaching(error, &place));
        }
        if let sqlx::Error::Tls(error) = error {
            return Self::new(
                format!("PostgreSQL at {place} and this process do not agree on TLS ({error})"),
                "have the server offer it, and name its authority with sslrootcert= and its host as in its certificate",
            );
        }
        let refusal = error.as_database_error();
        refusal
            .and_then(|refusal| Self::of_refusal(refusal, to))
            .unwrap_or_else(|| Self::of_database(error))
    }

    /// That connecting took too long.
    pub(crate) fn of_silence(to: &PgConnectOptions) -> Self {
        Self::new(
            format!("PostgreSQL at {}:{} does not answer", to.get_host(), to.get_port()),
            "see whether it runs, and whether a firewall drops what is sent there",
        )
    }

    /// Why a statement failed.
    pub(crate) fn of_database(error: &sqlx::Error) -> Self {
        let Some(refusal) = error.as_database_error() else {
            return Self::new(
                format!("the connection to the database broke ({})", with_causes(error)),
                "see the database's log, and try again",
            );
        };
        let said = refusal.message();
        match refusal.code().as_deref() {
            // Undefined table, column or function; invalid schema.
            Some("42P01" | "42703" | "42883" | "3F000") => Self::new(
                format!("the outbox is not there as it should be ({said})"),
                "run `outbox-relay init` on this database",
            ),
            Some("42501") => Self::new(
                format!("the role may not do what is needed ({said})"),
                "grant it what `outbox-relay doctor` lists",
            ),
            Some("57014") => Self::new(
                format!("the database took too long ({said})"),
                "see what keeps it busy, and try again",
            ),
            Some("55P03") => Self::new(
                format!("somebody holds a lock for long ({said})"),
                "end that transaction (pg_locks names it), and try again",
            ),
            Some("57P01" | "57P02") => Self::new(
                format!("the database ended the connection ({said})"),
                "try again once it is up",
            ),
            // Both come of a proxy that gives each transaction another session.
            Some("26000" | "08P01") => proxy(said),
            Some(_) | None => Self::new(
                format!("the database refuses ({said})"),
                "see the database's log for the statement",
            ),
        }
    }

    /// That PostgreSQL's certificate is not to be trusted, if that is what is wrong.
    fn of_certificate(error: &io::Error, place: &str) -> Option<Self> {
        let said = error.to_string();
        said.contains("certificate").then(|| {
            Self::new(
                format!("PostgreSQL at {place} does not prove who it is ({said})"),
                "name its authority by sslrootcert= in the database's URL, and its host as in its certificate",
            )
        })
    }

    fn of_reaching(error: &io::Error, place: &str) -> Self {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            return Self::new(
                format!("no PostgreSQL listens at {place}"),
                "start it, or correct host and port in the source's URL",
            );
        }
        if UNREACHABLE.contains(&error.kind()) {
            return Self::new(
                format!("{place} cannot be reached ({error})"),
                "correct the host in the source's URL, or let the network through",
            );
        }
        // The resolver's failures have no kind of their own.
        if error.to_string().contains("lookup") {
            return Self::new(
                format!("the host of {place} is not known ({error})"),
                "correct it in the source's URL",
            );
        }
        Self::new(
            format!("the connection to PostgreSQL at {place} broke ({error})"),
            "see its log; a port of something else answers so too",
        )
    }

    fn of_refusal(refusal: &dyn DatabaseError, to: &PgConnectOptions) -> Option<Self> {
        let (said, user) = (refusal.message(), to.get_username());
        match refusal.code().as_deref() {
            Some("28P01") => Some(Self::new(
                format!("PostgreSQL refuses the password of {user}"),
                "correct it in the source's URL",
            )),
            Some("28000") if said.contains("no encryption") => Some(Self::new(
                format!("PostgreSQL does not let {user} in without TLS ({said})"),
                "add sslmode=verify-full and sslrootcert= to the database's URL",
            )),
            Some("28000") => Some(Self::new(
                format!("PostgreSQL does not let {user} in ({said})"),
                "create the role, or let it in from here by pg_hba.conf",
            )),
            Some("3D000") => Some(Self::new(
                format!("there is no database {}", to.get_database().unwrap_or(user)),
                "create it, or correct its name in the source's URL",
            )),
            Some("42501") => Some(Self::new(
                format!("{user} may not connect ({said})"),
                format!(
                    "GRANT CONNECT ON DATABASE {} TO {user}",
                    to.get_database().unwrap_or(user)
                ),
            )),
            Some("53300") => Some(Self::new(
                format!("PostgreSQL has no connection left for {user} ({said})"),
                "raise max_connections or the role's limit, or end what idles",
            )),
            Some("57P03") => {
                Some(Self::new(format!("PostgreSQL is not ready ({said})"), "wait until it is up"))
            }
            Some(_) | None => None,
        }
    }
}

/// That something between gives each transaction another session.
pub(crate) fn proxy(said: &str) -> Fault {
    Fault::new(
        format!("a proxy stands between that does not keep sessions ({said})"),
        "connect to PostgreSQL itself, or have the proxy pool sessions",
    )
}
